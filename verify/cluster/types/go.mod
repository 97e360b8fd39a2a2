// Where the types that others define for a cluster are published. Nothing is built of it: `go mod download` fetches each
// version by its hash in go.sum, and their YAML is given to the API server.
module hodoscope.invalid/verify/cluster/types

go 1.26.0
