package balance

import (
	"math"
	"slices"
	"testing"

	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/internal/conformance"
)

// priorityConformance is a case of testdata/conformance/priority_load.json.
type priorityConformance struct {
	ID         string `json:"id"`
	Test       string `json:"source_test"`
	Factor     uint32 `json:"overprovisioning_factor"`
	Threshold  uint32 `json:"panic_threshold"`
	Weighted   bool   `json:"weighted_priority_health"`
	Priorities []struct {
		Hosts    int `json:"hosts"`
		Healthy  int `json:"healthy"`
		Degraded int `json:"degraded"`
		Excluded int `json:"excluded"`
		Weights  *struct {
			Healthy   []uint32 `json:"healthy"`
			Degraded  []uint32 `json:"degraded"`
			Excluded  []uint32 `json:"excluded"`
			Unhealthy []uint32 `json:"unhealthy"`
		} `json:"host_weights"`
	} `json:"priorities"`
	Expect struct {
		Healthy  []int  `json:"healthy_load"`
		Degraded []int  `json:"degraded_load"`
		Panic    []bool `json:"panic"`
	} `json:"expect"`
}

// crew collects members.
type crew struct{ members []Member }

func (c *crew) join(priority int, h Health, weights ...uint32) {
	for _, w := range weights {
		m := member(len(c.members), w)
		m.Priority, m.Health = uint32(priority), h
		c.members = append(c.members, m)
	}
}

func (c *priorityConformance) members() []Member {
	var all crew
	for i, p := range c.Priorities {
		if w := p.Weights; w != nil {
			all.join(i, Healthy, w.Healthy...)
			all.join(i, Degraded, w.Degraded...)
			all.join(i, Excluded, w.Excluded...)
			all.join(i, Unhealthy, w.Unhealthy...)
			continue
		}
		all.join(i, Healthy, equal(p.Healthy)...)
		all.join(i, Degraded, equal(p.Degraded)...)
		all.join(i, Excluded, equal(p.Excluded)...)
		all.join(i, Unhealthy, equal(p.Hosts-p.Healthy-p.Degraded-p.Excluded)...)
	}
	return all.members
}

func TestPriorityConformance(t *testing.T) {
	for _, c := range conformance.Cases[priorityConformance](t, "testdata/conformance/priority_load.json") {
		t.Run(c.ID+" "+c.Test, func(t *testing.T) {
			o := optionsFor(config.RoundRobin)
			o.OverprovisioningFactor, o.HealthyPanicThreshold, o.WeightedPriorityHealth = c.Factor, c.Threshold, c.Weighted
			var healthy, degraded []int
			var panics []bool
			for _, p := range Build(c.members(), &o, nil).Priorities() {
				healthy, degraded = append(healthy, p.HealthyLoad), append(degraded, p.DegradedLoad)
				panics = append(panics, p.Panic)
			}
			if !slices.Equal(healthy, c.Expect.Healthy) {
				t.Errorf("healthy load %v, want %v", healthy, c.Expect.Healthy)
			}
			if c.Expect.Degraded != nil && !slices.Equal(degraded, c.Expect.Degraded) {
				t.Errorf("degraded load %v, want %v", degraded, c.Expect.Degraded)
			}
			if c.Expect.Panic != nil && !slices.Equal(panics, c.Expect.Panic) {
				t.Errorf("panic %v, want %v", panics, c.Expect.Panic)
			}
		})
	}
}

// localityConformance is a case of testdata/conformance/locality_load.json.
type localityConformance struct {
	ID         string `json:"id"`
	Factor     uint32 `json:"overprovisioning_factor"`
	Localities []struct {
		Name    string `json:"name"`
		Weight  uint32 `json:"weight"`
		Hosts   int    `json:"hosts"`
		Healthy int    `json:"healthy"`
	} `json:"localities"`
	Expect    map[string]float64 `json:"expect_percent"`
	Tolerance float64            `json:"tolerance_percent"`
}

func (c *localityConformance) table() *Table {
	o := optionsFor(config.RoundRobin)
	o.OverprovisioningFactor, o.LocalityWeighted = c.Factor, true
	var all crew
	for i, l := range c.Localities {
		o.Localities = append(o.Localities, config.Locality{Zone: l.Name})
		before := len(all.members)
		all.join(0, Healthy, equal(l.Healthy)...)
		all.join(0, Unhealthy, equal(l.Hosts-l.Healthy)...)
		for j := range all.members[before:] {
			m := &all.members[before+j]
			m.Locality, m.LocalityWeight = int32(i), l.Weight
		}
	}
	return Build(all.members, &o, nil)
}

func TestLocalityConformance(t *testing.T) {
	for _, c := range conformance.Cases[localityConformance](t, "testdata/conformance/locality_load.json") {
		t.Run(c.ID, func(t *testing.T) {
			shares := c.table().Localities()
			if len(shares) != len(c.Expect) {
				t.Fatalf("%v, want %v", shares, c.Expect)
			}
			for _, got := range shares {
				if want := c.Expect[got.Locality.Zone]; math.Abs(got.Percent-want) > c.Tolerance {
					t.Errorf("%s gets %.2f %%, want %v ± %v", got.Locality.Zone, got.Percent, want, c.Tolerance)
				}
			}
		})
	}
}

// selectionConformance is a case of testdata/conformance/host_selection.json.
type selectionConformance struct {
	ID         string  `json:"id"`
	Test       string  `json:"source_test"`
	Fail       bool    `json:"fail_traffic_on_panic"`
	Threshold  *uint32 `json:"panic_threshold"`
	Priorities []struct {
		Hosts    []string `json:"hosts"`
		Healthy  []string `json:"healthy"`
		Degraded []string `json:"degraded"`
	} `json:"priorities"`
	Expect []*string      `json:"expect_sequence"`
	Stats  map[string]int `json:"expect_stat"`
}

func (c *selectionConformance) members() []Member {
	var all crew
	for i, p := range c.Priorities {
		for _, name := range p.Hosts {
			health := Unhealthy
			switch {
			case slices.Contains(p.Healthy, name):
				health = Healthy
			case slices.Contains(p.Degraded, name):
				health = Degraded
			}
			all.join(i, health, 1)
			all.members[len(all.members)-1].Key = name
		}
	}
	return all.members
}

func TestSelectionConformance(t *testing.T) {
	for _, c := range conformance.Cases[selectionConformance](t, "testdata/conformance/host_selection.json") {
		t.Run(c.ID+" "+c.Test, func(t *testing.T) {
			o := optionsFor(config.RoundRobin)
			o.FailTrafficOnPanic = c.Fail
			if c.Threshold != nil {
				o.HealthyPanicThreshold = *c.Threshold
			}
			members := c.members()
			table := Build(members, &o, nil)
			for i := range table.sets {
				table.sets[i].rotation.base = 0
			}
			panics := 0
			for i, want := range c.Expect {
				got, ok := table.Pick(&Query{})
				if got.Panic {
					panics++
				}
				switch {
				case ok != (want != nil):
					t.Errorf("pick %d: %+v %v", i, got, ok)
				case ok && members[got.Index].Key != *want:
					t.Errorf("pick %d is %s, want %s", i, members[got.Index].Key, *want)
				}
			}
			if want, ok := c.Stats["lb_healthy_panic"]; ok && panics != want {
				t.Errorf("%d picks in panic, want %d", panics, want)
			}
		})
	}
}
