// Package subject knows what is compared: sluice, nginx, HAProxy, Envoy, and no
// proxy at all. It finds the programs on this machine and writes their
// configurations, each as somebody who knows the program would set it to relay
// TCP at the lowest cost: the same number of workers for all, listening sockets
// with SO_REUSEPORT, TCP_NODELAY, splice where there is splice, no access log,
// and no limit that the load could meet.
//
//	found, leftOut, err := subject.Find(ctx, "/usr/local/bin/sluice")
//	for _, s := range found {
//		if s.Lacks(bench.Explicit) == "" {
//			config, err := s.Config(subject.Plan{Mode: bench.Explicit, ...})
//			...
//		}
//	}
//
// It starts nothing but what tells a version; bench/stage runs the subjects.
package subject
