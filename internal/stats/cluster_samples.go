package stats

import "math"

// SampleClusterCounter asks read at each scrape for a counter of a cluster that
// something else than a loop counts: envoy_cluster_NAME. Otherwise as Sample.
func (r *Registry) SampleClusterCounter(cluster, name, help string, read func() float64) {
	r.sampleCluster(cluster, family{stat: name, help: help, kind: counterKind}, read)
}

// SampleClusterGauge is SampleClusterCounter for a gauge.
func (r *Registry) SampleClusterGauge(cluster, name, help string, read func() float64) {
	r.sampleCluster(cluster, family{stat: name, help: help, kind: gaugeKind}, read)
}

func (r *Registry) sampleCluster(cluster string, f family, read func() float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.add(r.envoyScope("cluster", clusterLabel[0], cluster), f, read)
}

// ForgetClusters ends what is sampled of clusters, because they are gone or
// others. What the loops have counted stays.
func (r *Registry) ForgetClusters(names map[string]bool) {
	if len(names) == 0 {
		return
	}
	shown := make(map[string]bool, len(names))
	for name := range names {
		shown[clean(statName(name))] = true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, s := range r.series {
		if s.read == nil || len(s.scope.labels) != 1 {
			continue
		}
		label := s.scope.labels[0]
		if (label == clusterLabel[0] || label == "cluster") && shown[s.scope.values[0]] {
			ended := *s
			ended.read = gone
			r.series[i] = &ended
		}
	}
}

// gone is not to be had any more.
func gone() float64 { return math.NaN() }
