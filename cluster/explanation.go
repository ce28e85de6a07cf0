package cluster

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/internal/stats"
)

// Explanation is where the load of a cluster goes, for sluice explain.
type Explanation struct {
	Cluster    string              `json:"cluster"`
	Priorities []PriorityExplained `json:"priorities"`
	Localities []LocalityExplained `json:"localities"`
	Endpoints  []EndpointExplained `json:"endpoints"`
}

// PriorityExplained is the load of one priority, in percent.
type PriorityExplained struct {
	Priority     uint32 `json:"priority"`
	HealthyLoad  int    `json:"healthy_load"`
	DegradedLoad int    `json:"degraded_load"`
	Panic        bool   `json:"panic"`
}

// LocalityExplained is the load of one locality, in percent.
type LocalityExplained struct {
	Locality string  `json:"locality"`
	Percent  float64 `json:"percent"`
}

// EndpointExplained is the load of one endpoint, in percent.
type EndpointExplained struct {
	Address  string  `json:"address"`
	Percent  float64 `json:"percent"`
	Health   string  `json:"health"`
	Priority uint32  `json:"priority"`
}

// NewOffline makes a cluster that nobody keeps, for explanations. Each name that
// DNS would resolve is an endpoint as it stands.
func NewOffline(cfg *config.Cluster) (*Cluster, error) {
	c, err := New(cfg, stats.Cluster{})
	if err != nil {
		return nil, err
	}
	list := c.literal()
	for i := range list {
		if list[i].addresses == nil {
			list[i].addresses = []netip.AddrPort{list[i].spec.Address.AddrPort}
		}
	}
	c.offline = true
	c.setMembers(list, time.Now())
	return c, nil
}

// Explain tells where the load of the cluster goes if the endpoints in unhealthy,
// host:port as in the configuration, are not to be had. An error names one that
// the cluster has not.
func Explain(cfg *config.Cluster, unhealthy []string) (*Explanation, error) {
	c, err := NewOffline(cfg)
	if err != nil {
		return nil, err
	}
	for _, address := range unhealthy {
		m := c.known[address]
		if m == nil {
			return nil, fmt.Errorf("cluster %s has no endpoint %s: it has %s", cfg.Name, address, c.addresses())
		}
		m.set(failedActiveCheck, true)
	}
	c.refresh(time.Now())
	return c.explain(), nil
}

// addresses lists the endpoints for a message.
func (c *Cluster) addresses() string {
	const most = 10
	var list []string
	for i, m := range c.members {
		if i == most {
			list = append(list, fmt.Sprintf("and %d more", len(c.members)-most))
			break
		}
		list = append(list, m.key)
	}
	if list == nil {
		return "none"
	}
	return strings.Join(list, ", ")
}

func (c *Cluster) explain() *Explanation {
	e := &Explanation{Cluster: c.Name, Priorities: []PriorityExplained{}, Localities: []LocalityExplained{}, Endpoints: []EndpointExplained{}}
	for _, p := range c.view.Load().table.Priorities() {
		e.Priorities = append(e.Priorities, PriorityExplained{p.Priority, p.HealthyLoad, p.DegradedLoad, p.Panic})
	}
	for _, s := range c.Shares(netip.AddrPort{}) {
		e.Endpoints = append(e.Endpoints, EndpointExplained{s.Address, s.Percent, s.Health, s.Priority})
		name := LocalityName(s.Locality)
		at := slices.IndexFunc(e.Localities, func(l LocalityExplained) bool { return l.Locality == name })
		if at < 0 {
			at = len(e.Localities)
			e.Localities = append(e.Localities, LocalityExplained{Locality: name})
		}
		e.Localities[at].Percent += s.Percent
	}
	return e
}
