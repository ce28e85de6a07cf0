// Package configs holds the example configurations. sidecar.yaml is also
// what `sluice run` uses without -c:
//
//	native.Parse("built-in sidecar", configs.Sidecar(), opts)
package configs

import _ "embed"

//go:embed sidecar.yaml
var sidecar []byte

// Sidecar is the default sidecar configuration: what is captured outbound at
// 15001 and inbound at 15006 passes to its original destination. The caller
// must not change it.
func Sidecar() []byte { return sidecar }
