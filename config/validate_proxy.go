package config

import (
	"fmt"
	"math"
)

func (v *validator) tcpProxy(path string, p *TCPProxy, l *Listener) {
	switch {
	case p.Cluster == "" && len(p.WeightedClusters) == 0:
		v.add(path+".cluster", "is required (or weighted_clusters instead)")
	case p.Cluster != "" && len(p.WeightedClusters) > 0:
		v.add(path+".weighted_clusters", "cannot be given together with cluster: leave one out")
	}
	if p.Cluster != "" {
		v.reference(path+".cluster", p.Cluster, l)
	}
	v.weighted(path+".weighted_clusters", p.WeightedClusters, l)
	if p.MaxConnectAttempts < 1 {
		v.add(path+".max_connect_attempts", "must be at least 1, not %d", p.MaxConnectAttempts)
	}
	v.notNegative(path+".idle_timeout", p.IdleTimeout)
	v.notNegative(path+".half_close_timeout", p.HalfCloseTimeout)
	v.notNegative(path+".max_connection_duration", p.MaxConnectionDuration)
}

func (v *validator) weighted(path string, clusters []WeightedCluster, l *Listener) {
	sum := uint64(0)
	for i, w := range clusters {
		at := fmt.Sprintf("%s[%d]", path, i)
		if w.Name == "" {
			v.add(at+".name", "is required")
		} else {
			v.reference(at+".name", w.Name, l)
		}
		if w.Weight == 0 {
			v.add(at+".weight", "is required and must be at least 1")
		}
		sum += uint64(w.Weight)
	}
	v.weightSum(path, sum)
}

func (v *validator) weightSum(path string, sum uint64) {
	if sum > math.MaxUint32 {
		v.add(path, "the weights add up to %d, more than %d", sum, uint32(math.MaxUint32))
	}
}

// reference checks that a chain's cluster exists and can serve the listener:
// an original_dst cluster dials addresses of the listener's own family.
func (v *validator) reference(path, name string, l *Listener) {
	c, ok := v.clusters[name]
	if !ok {
		v.add(path, "there is no cluster %q", name)
		return
	}
	bind := c.UpstreamBindAddress
	if c.Type != ClusterOriginalDst || !bind.IsValid() || !l.Address.IsValid() {
		return
	}
	if bind.Is4() != l.Address.Addr().Is4() {
		v.add(path, "cluster %q dials from %s, which cannot reach the original destinations of a listener on %s: use a cluster with an upstream_bind_address of the listener's family", name, bind, l.Address)
	}
}
