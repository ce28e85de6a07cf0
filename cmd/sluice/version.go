package main

import "runtime/debug"

// version is what the Go toolchain noted in the binary: the module's version,
// which it makes from the commit when it builds in a checkout.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}
