package balance

import (
	"fmt"
	"math"
	"testing"

	"github.com/sluiceproxy/sluice/config"
)

// TestExcluded has members that wait for their first check count neither as
// available nor as missing.
func TestExcluded(t *testing.T) {
	var all crew
	all.join(0, Healthy, equal(5)...)
	all.join(0, Excluded, equal(5)...)
	all.join(1, Healthy, 1)
	for i := range all.members {
		m := &all.members[i]
		m.Locality, m.LocalityWeight = int32(i%2), 1
	}
	o := optionsFor(config.RoundRobin)
	table := Build(all.members, &o, nil)
	if got := fmt.Sprint(table.Priorities()); got != "[{0 100 0 false} {1 0 0 false}]" {
		t.Errorf("half of the members excluded: %s", got)
	}

	// Locality 0 has 3 healthy of 3 that count, locality 1 has 2 of 4.
	all.members[1].Health = Unhealthy
	all.members[8].Locality = 1
	all.members[7].Health = Unhealthy
	o.LocalityWeighted, o.Localities = true, []config.Locality{{Zone: "a"}, {Zone: "b"}}
	o.HealthyPanicThreshold = 0
	table = Build(all.members[:10], &o, nil)
	want := 100 / (1 + 1.4*1/3)
	if got := table.Localities()[0].Percent; math.Abs(got-want) > 0.01 {
		t.Errorf("locality a gets %.2f %%, want %.2f", got, want)
	}
}

// TestPanicFails fails the load of a priority in panic, and no other.
func TestPanicFails(t *testing.T) {
	var all crew
	all.join(0, Healthy, 1)
	all.join(0, Unhealthy, equal(4)...)
	all.join(1, Healthy, 1, 1)
	all.join(1, Unhealthy, 1, 1)
	o := optionsFor(config.Random)
	table := Build(all.members, &o, nil)
	if got := fmt.Sprint(table.Priorities()); got != "[{0 29 0 true} {1 71 0 false}]" {
		t.Fatalf("loads %s", got)
	}
	o.FailTrafficOnPanic = true
	table = Build(all.members, &o, table)
	failed := 0
	for range 10000 {
		c, ok := table.Pick(&Query{})
		switch {
		case ok && c.Priority == 1 && !c.Panic:
		case !ok && c.Panic:
			failed++
		default:
			t.Fatalf("%+v %v", c, ok)
		}
	}
	if failed < 2500 || failed > 3300 {
		t.Errorf("%d of 10000 failed, want 29 %%", failed)
	}
}

// TestLeastRequestRetries takes the least loaded of those that are left.
func TestLeastRequestRetries(t *testing.T) {
	o := optionsFor(config.LeastRequest)
	o.LeastRequest.ChoiceCount = 4
	members := membersOf(equal(4)...)
	for i := range members {
		members[i].Active.Store(int64(10 * i))
	}
	table := Build(members, &o, nil)
	for range 100 {
		var tried Tried
		for want := range int32(4) {
			if c, ok := table.Pick(&Query{Tried: &tried}); !ok || c.ID != want {
				t.Fatalf("attempt %d goes to %+v", want, c)
			}
		}
	}
}

// TestWeightChanges has a table follow a weight that changes.
func TestWeightChanges(t *testing.T) {
	for _, policy := range policies() {
		o := optionsFor(policy)
		members := membersOf(1, 1, 1)
		before := Build(members, &o, nil)
		members[0].Weight = 8
		if got := Build(members, &o, before).Shares()[0]; math.Abs(got-80) > 8 {
			t.Errorf("%s: share %.1f %%, want 80", policy, got)
		}
	}
}
