// Package test has the end-to-end tests: the sluice binary as its users run
// it, in network namespaces, as uid 1337, with the capture rules that sluice
// iptables applies, between real programs or peers that misbehave on purpose.
//
//	go test ./test            # as root, or where user namespaces work
//	go test -race ./test      # the binary is built with -race too
//
// Each test has a world: a client, a pod and a remote host. A sidecar is a
// running sluice on one of them. When a test ends, its sidecar must have given
// back every descriptor, show no live connection, and end with status 0.
package test
