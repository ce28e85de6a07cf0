package explain

import (
	"fmt"
	"math"
	"strings"

	"github.com/sluiceproxy/sluice/cluster"
	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/internal/accesslog"
)

// route tells the clusters and their endpoints.
func (w *walk) route(to *config.TCPProxy) {
	a := &w.answer
	shares, err := clusterShares(to)
	if err != nil {
		w.close(accesslog.ConnectFailed.String(), accesslog.NoHealthyUpstream.String(), err.Error())
		return
	}
	var names []string
	for _, share := range shares {
		names = append(names, share.Name)
		if !w.addEndpoints(share) {
			w.tell("cluster %s: has no endpoint", share.Name)
		}
	}
	a.Cluster = strings.Join(names, ",")
	if len(shares) > 1 {
		a.WeightedClusters = shares
	}
	if len(a.Endpoints) == 0 {
		w.close(accesslog.ConnectFailed.String(), accesslog.NoHealthyUpstream.String(), fmt.Sprintf("cluster %s has no endpoint", a.Cluster))
		return
	}
	a.Verdict = Forward
	a.Reason = fmt.Sprintf("filter chain %s takes it, to cluster %s", a.FilterChain, a.Cluster)
	if a.Detected.Inspection == NeedMore {
		a.Reason = "after listener_filters_timeout, if the client sends no more, " + a.Reason
	}
}

// clusterShares are the chain's clusters with their parts of the connections.
func clusterShares(to *config.TCPProxy) ([]Share, error) {
	if to.Cluster != "" {
		return []Share{{to.Cluster, 100}}, nil
	}
	split, err := cluster.NewSplit(to.WeightedClusters)
	if err != nil {
		return nil, err
	}
	var list []Share
	for i, percent := range split.Shares() {
		list = append(list, Share{to.WeightedClusters[i].Name, rounded(percent)})
	}
	return list, nil
}

// addEndpoints adds those of one cluster; false: it has none. Their health is what
// the configuration says of it: nobody checks them here.
func (w *walk) addEndpoints(of Share) bool {
	list := w.tables.clusters[of.Name].Shares(w.facts.Destination)
	for _, e := range list {
		w.answer.Endpoints = append(w.answer.Endpoints, Endpoint{
			Address:  e.Address,
			Percent:  rounded(e.Percent * of.Percent / 100),
			Health:   e.Health,
			Priority: e.Priority,
			cluster:  of.Name,
		})
	}
	return len(list) > 0
}

// rounded is a percentage to two decimals.
func rounded(percent float64) float64 { return math.Round(percent*100) / 100 }
