// Package dns turns names into addresses for clusters of the types strict_dns
// and logical_dns, and keeps the addresses current.
//
//	resolver, err := dns.NewResolver(dns.Options{Resolvers: cfg.DNS.Resolvers})
//
//	watch := dns.NewWatch(resolver, "api.example.com", cfg.DNS, func(a dns.Answer) {
//		... // a.Addrs are the endpoints: make a new snapshot
//	})
//	watch.OnReport = func(r dns.Report) { log.Warn(r.String()) }
//	go watch.Run(ctx)
//	<-watch.First() // warm up: the first lookup has ended, well or not
//
// Nothing here runs on event loops. A Resolver reads resolv.conf and the hosts
// file itself, and again when they change. It is safe for any number of
// goroutines, and bounds how many lookups run at once. A Watch is for one name
// of one cluster, and costs a goroutine that sleeps.
//
// Whatever goes wrong, a Watch keeps the last good answer, counts, reports the
// change of state once, and asks again with growing pauses. docs/dns.md tells
// what is asked when, and where this differs from Envoy.
package dns
