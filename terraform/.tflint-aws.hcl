# Rules of AWS, for .github/workflows/security.yml, which can fetch them; tflint checks their signature. Rules of Terraform
# itself are .tflint.hcl's, which `make infra` runs.
plugin "terraform" {
  enabled = false
}

plugin "aws" {
  enabled = true
  version = "0.48.0"
  source  = "github.com/terraform-linters/tflint-ruleset-aws"
}
