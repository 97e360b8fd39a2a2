// A stand-in for Terraform's AWS provider: it offers the schema that its first argument's file holds, and can do nothing.
// Tests with a mocked provider ask a provider for its schema alone, so they run with it, and so does `terraform validate`,
// where the real one cannot be had. verify/infra/provider_schema.py writes the schema.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"log"
	"os"

	"github.com/hashicorp/terraform-plugin-go/tfprotov5"
	"github.com/hashicorp/terraform-plugin-go/tfprotov5/tf5server"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

type attribute struct {
	Type                         json.RawMessage
	Required, Optional, Computed bool
}

type block struct {
	Attributes               map[string]attribute
	Blocks                   map[string]block
	Many, Required, Timeouts bool
}

type schema struct {
	Resource, Data map[string]block
	Provider       block
}

// provider answers what validation and mocked tests ask. The rest of the interface is nil: a call of it is a defect of the
// check, and ends the process.
type provider struct {
	tfprotov5.ProviderServer
	answer *tfprotov5.GetProviderSchemaResponse
}

func main() {
	path := os.Getenv("HODOSCOPE_PROVIDER_SCHEMA")
	text, err := os.ReadFile(path)
	if err != nil {
		log.Fatalf("HODOSCOPE_PROVIDER_SCHEMA names no schema: %v", err)
	}
	var told schema
	if err := json.Unmarshal(text, &told); err != nil {
		log.Fatalf("%s: %v", path, err)
	}
	answer := &tfprotov5.GetProviderSchemaResponse{
		Provider:          &tfprotov5.Schema{Block: told.Provider.proto()},
		ResourceSchemas:   schemas(told.Resource),
		DataSourceSchemas: schemas(told.Data),
	}
	serve := func() tfprotov5.ProviderServer { return &provider{answer: answer} }
	if err := tf5server.Serve("registry.terraform.io/hashicorp/aws", serve); err != nil {
		log.Fatal(err)
	}
}

func schemas(blocks map[string]block) map[string]*tfprotov5.Schema {
	made := map[string]*tfprotov5.Schema{}
	for name, told := range blocks {
		made[name] = &tfprotov5.Schema{Block: told.proto()}
	}
	return made
}

func (told block) proto() *tfprotov5.SchemaBlock {
	made := &tfprotov5.SchemaBlock{}
	for name, attribute := range told.Attributes {
		kind, err := tftypes.ParseJSONType(attribute.Type) //nolint:staticcheck // the only reader of this form
		if err != nil {
			log.Fatalf("%s: %v", name, err)
		}
		made.Attributes = append(made.Attributes, &tfprotov5.SchemaAttribute{
			Name: name, Type: kind, Required: attribute.Required, Optional: attribute.Optional, Computed: attribute.Computed,
		})
	}
	for name, inner := range told.Blocks {
		nested := &tfprotov5.SchemaNestedBlock{TypeName: name, Block: inner.proto(), Nesting: tfprotov5.SchemaNestedBlockNestingModeList}
		switch {
		case inner.Timeouts:
			nested.Nesting = tfprotov5.SchemaNestedBlockNestingModeSingle
		case !inner.Many:
			nested.MaxItems = 1
		}
		if inner.Required {
			nested.MinItems = 1
		}
		made.BlockTypes = append(made.BlockTypes, nested)
	}
	return made
}

func (p *provider) GetMetadata(context.Context, *tfprotov5.GetMetadataRequest) (*tfprotov5.GetMetadataResponse, error) {
	return nil, errors.New("ask for the whole schema")
}

func (p *provider) GetProviderSchema(context.Context, *tfprotov5.GetProviderSchemaRequest) (*tfprotov5.GetProviderSchemaResponse, error) {
	return p.answer, nil
}

func (p *provider) PrepareProviderConfig(_ context.Context, asked *tfprotov5.PrepareProviderConfigRequest) (*tfprotov5.PrepareProviderConfigResponse, error) {
	return &tfprotov5.PrepareProviderConfigResponse{PreparedConfig: asked.Config}, nil
}

func (p *provider) ValidateResourceTypeConfig(context.Context, *tfprotov5.ValidateResourceTypeConfigRequest) (*tfprotov5.ValidateResourceTypeConfigResponse, error) {
	return &tfprotov5.ValidateResourceTypeConfigResponse{}, nil
}

func (p *provider) ValidateDataSourceConfig(context.Context, *tfprotov5.ValidateDataSourceConfigRequest) (*tfprotov5.ValidateDataSourceConfigResponse, error) {
	return &tfprotov5.ValidateDataSourceConfigResponse{}, nil
}

func (p *provider) StopProvider(context.Context, *tfprotov5.StopProviderRequest) (*tfprotov5.StopProviderResponse, error) {
	return &tfprotov5.StopProviderResponse{}, nil
}
