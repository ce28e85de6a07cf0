// Package load makes the loads of package bench and measures what comes of them.
//
//	measure, err := load.Run(ctx, target, bench.Load{
//		Kind: bench.Requests, Protocol: bench.Own, Connections: 64, Size: 128,
//		Warmup: time.Second, Duration: 5 * time.Second,
//	}, load.Options{Watch: []int{proxy.Pid}})
//
// A load is made by event loops and allocates nothing for a request, so that most
// of the machine is left to what is measured. The process wants a GOMAXPROCS of
// its loops + 2 (docs/decisions/0001-event-loops.md) and no garbage collection
// while it measures.
//
// A run has phases: all connections that stay are opened, each with one exchange,
// some at a time; the load begins; after the warm-up the measured part begins;
// when it ends, nothing new is sent, what the proxy used is read, and only then
// are the answers that are still missing awaited. An answer that never comes is an
// error ("stalled").
//
// Latencies. Without a rate the next request follows the answer. With a rate each
// request has a moment when it is due, and its latency counts from then, whether
// or not a connection was free: a proxy that stops for 100 ms makes all requests
// late that were due meanwhile, not just one for each connection (coordinated
// omission). What was due and could not even be sent before the end counts as
// having taken until then.
package load
