// Package stage is where a comparison runs: it starts what is compared, each
// with a backend of its own behind it, and prepares the program that makes the
// load in front of it.
//
//	st, err := stage.New(bench.Redirect, stage.Options{Sluice: "bin/sluice", Self: "bin/sluicebench", Workers: 2})
//	defer st.Close()
//	running, err := st.Start(ctx, subject, 0)
//	out, err := running.LoadCommand(ctx, "--json", "--watch", strconv.Itoa(running.PID())).Output()
//	err = running.Stop()
//
// All subjects can be there at the same time, so that they take turns under
// load without being started anew, and none meets what another left in the
// kernel's tables:
//
//   - explicit: client, proxy and backend on 127.0.0.1 of the caller's own
//     namespace, on ports of their own. This needs no rights.
//   - redirect: outbound capture. Client and proxy share a host (a pod), the
//     backend is on another. Each subject has two hosts of its own.
//   - tproxy: inbound capture. The client has a host, proxy and backend share
//     the other.
//
// Direct has the same hosts without proxy and rules. The rules are those of
// `sluice iptables apply`, for all subjects alike. Hosts are namespaces of
// internal/testnet, whose Enter the program has to call first.
//
// Nothing outlives the program: what it started is killed when it ends, by
// whatever.
package stage
