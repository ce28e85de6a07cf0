// Package healthcheck finds out which endpoints can serve: it connects to them
// at intervals, asks, and counts the answers, by Envoy's rules
// (HealthCheckerImplBase). All checks of a process run on one event loop of
// their own, so that thousands of endpoints neither need threads nor disturb
// the loops that carry traffic.
//
//	checker, err := healthcheck.New(healthcheck.Options{Event: log})
//	checker.Start()
//	group := checker.NewGroup("ratings", cluster.HealthChecks, healthcheck.GroupOptions{Dial: dial, Changed: changed})
//	group.Set([]healthcheck.Target{{ID: 7, Address: address}})
//	...
//	verdict := group.Verdict(7)
//	checker.Close()
//
// App checks the application behind a sidecar with the same means.
package healthcheck
