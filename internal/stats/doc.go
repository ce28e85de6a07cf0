// Package stats counts what the proxy does. Event loops count into shards of
// their own, without locks or atomics; a scrape sums the shards and prints
// them under Envoy's and Istio's names.
//
//	reg := stats.NewRegistry()
//	listener := reg.Listener("0.0.0.0:15006") // when a configuration is built
//	shard := reg.NewShard()                   // one for each loop
//	shard.Inc(listener.CxTotal)               // on the loop: one addition
//
//	exporter, err := stats.NewExporter(stats.NewCollector(reg, func(sum []uint64) {
//		// on each loop: shard.AddTo(sum)
//	}))
//	mux.Handle("/stats/prometheus", exporter.Prometheus())
//	mux.Handle("/stats", exporter.Stats())
//
// Places are handed out once for each name and set of labels, so counters go
// on counting when a reload builds the same listener or cluster again.
package stats
