package explain

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/sluiceproxy/sluice/cluster"
	"github.com/sluiceproxy/sluice/config"
)

// ClusterAnswer is where the load of a cluster goes. Its JSON is public.
type ClusterAnswer struct{ cluster.Explanation }

// Cluster tells where the load of a cluster of a validated configuration goes if
// the endpoints in unhealthy, host:port as in the configuration, are not to be
// had. An error is a *QuestionError.
func Cluster(cfg *config.Config, name string, unhealthy []string) (*ClusterAnswer, error) {
	at := slices.IndexFunc(cfg.Clusters, func(c config.Cluster) bool { return c.Name == name })
	if at < 0 {
		return nil, &QuestionError{Part: "cluster", Err: fmt.Errorf("there is no cluster %q", name)}
	}
	if cfg.Clusters[at].Type == config.ClusterOriginalDst {
		return nil, &QuestionError{Part: "cluster", Err: fmt.Errorf("%s dials where each connection wanted to go, and has no load to share", name)}
	}
	explained, err := cluster.Explain(&cfg.Clusters[at], unhealthy)
	if err != nil {
		return nil, &QuestionError{Part: "assume-unhealthy", Err: err}
	}
	for i := range explained.Endpoints {
		explained.Endpoints[i].Percent = rounded(explained.Endpoints[i].Percent)
	}
	for i := range explained.Localities {
		explained.Localities[i].Percent = rounded(explained.Localities[i].Percent)
	}
	return &ClusterAnswer{*explained}, nil
}

// Text is the answer for people.
func (a *ClusterAnswer) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "cluster  %s\n\n", printable(a.Explanation.Cluster))
	percent := func(p float64) string { return strconv.FormatFloat(p, 'f', -1, 64) }
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "PRIORITY\tHEALTHY LOAD\tDEGRADED LOAD\tPANIC\n")
	for _, p := range a.Priorities {
		fmt.Fprintf(w, "%d\t%d\t%d\t%s\n", p.Priority, p.HealthyLoad, p.DegradedLoad, map[bool]string{true: "yes", false: "no"}[p.Panic])
	}
	w.Flush()
	if len(a.Localities) > 1 {
		b.WriteString("\n")
		fmt.Fprint(w, "PERCENT\tLOCALITY\n")
		for _, l := range a.Localities {
			fmt.Fprintf(w, "%s\t%s\n", percent(l.Percent), printable(named(l.Locality)))
		}
		w.Flush()
	}
	b.WriteString("\n")
	fmt.Fprint(w, "PERCENT\tENDPOINT\tHEALTH\tPRIORITY\n")
	for _, e := range a.Endpoints {
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\n", percent(e.Percent), e.Address, e.Health, e.Priority)
	}
	w.Flush()
	return b.String()
}

// named stands for a locality without a name.
func named(locality string) string {
	if locality == "" {
		return "(none)"
	}
	return locality
}
