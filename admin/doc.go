// Package admin serves HTTP to operators, scrapers and probes: the admin API
// on 15000, metrics on 15090 and readiness on 15021. It knows nothing of the
// daemon; what it shows comes through functions of its own small types.
//
//	server := admin.New(admin.Options{Address: "127.0.0.1:15000", Ready: …, Stats: …})
//	if err := server.Start(); err != nil { … } // listens, then serves in the background
//	defer server.Shutdown(ctx)
//
//	admin.NewMetricsServer(admin.MetricsOptions{…})
//	admin.NewReadinessServer(admin.ReadinessOptions{…})
//
// Paths and formats are Envoy's (https://www.envoyproxy.io/docs/envoy/latest/operations/admin).
// Whoever can reach the admin API can stop the daemon, so it is meant for
// loopback or a unix socket, and refuses what a web page could send to it.
// Profiles (net/http/pprof) are there and on no other port.
package admin
