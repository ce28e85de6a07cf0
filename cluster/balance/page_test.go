package balance

import (
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/config"
)

// pageTable reads the table of docs/load-balancing.md that has a header, as
// cells.
func pageTable(t *testing.T, header string) [][]string {
	t.Helper()
	text, err := os.ReadFile("../../docs/load-balancing.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), header+"\n")
	if !ok {
		t.Fatalf("docs/load-balancing.md has no table %q", header)
	}
	var rows [][]string
	for line := range strings.Lines(rest) {
		if !strings.HasPrefix(line, "|") {
			break
		}
		if !strings.HasPrefix(line, "| ---") {
			rows = append(rows, strings.Split(strings.Trim(strings.TrimSpace(line), "| "), " | "))
		}
	}
	if len(rows) == 0 {
		t.Fatalf("table %q is empty", header)
	}
	return rows
}

// numbers reads a cell such as "35, 65".
func numbers(t *testing.T, cell string) []float64 {
	t.Helper()
	var list []float64
	for _, word := range strings.Split(cell, ", ") {
		n, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSuffix(word, " %"), " s"), 64)
		if err != nil {
			t.Fatalf("cell %q: %v", cell, err)
		}
		list = append(list, n)
	}
	return list
}

func TestPageOfPriorities(t *testing.T) {
	for _, row := range pageTable(t, "| endpoints | healthy load | degraded load | in panic |") {
		t.Run(row[0], func(t *testing.T) {
			var all crew
			for i, cell := range strings.Split(row[0], ", ") {
				var healthy, degraded, hosts int
				if _, err := fmt.Sscanf(cell, "%d/%d/%d", &healthy, &degraded, &hosts); err != nil {
					t.Fatal(err)
				}
				all.join(i, Healthy, equal(healthy)...)
				all.join(i, Degraded, equal(degraded)...)
				all.join(i, Unhealthy, equal(hosts-healthy-degraded)...)
			}
			o := optionsFor(config.RoundRobin)
			var healthy, degraded, panics []string
			for i, p := range Build(all.members, &o, nil).Priorities() {
				healthy, degraded = append(healthy, strconv.Itoa(p.HealthyLoad)), append(degraded, strconv.Itoa(p.DegradedLoad))
				if p.Panic {
					panics = append(panics, strconv.Itoa(i))
				}
			}
			if panics == nil {
				panics = []string{"none"}
			}
			got := []string{row[0], strings.Join(healthy, ", "), strings.Join(degraded, ", "), strings.Join(panics, ", ")}
			if fmt.Sprint(got) != fmt.Sprint(row) {
				t.Errorf("the page says\n%q, it is\n%q", row, got)
			}
		})
	}
}

func TestPageOfLocalities(t *testing.T) {
	for _, row := range pageTable(t, "| healthy in X | healthy in Y | X | Y |") {
		t.Run(row[0]+" "+row[1], func(t *testing.T) {
			o := optionsFor(config.RoundRobin)
			o.LocalityWeighted, o.Localities = true, []config.Locality{{Zone: "X"}, {Zone: "Y"}}
			o.HealthyPanicThreshold = 0
			var all crew
			for i := range o.Localities {
				healthy := int(numbers(t, row[i])[0])
				all.join(0, Healthy, equal(healthy)...)
				all.join(0, Unhealthy, equal(100-healthy)...)
				for j := range 100 {
					m := &all.members[100*i+j]
					m.Locality, m.LocalityWeight = int32(i), uint32(i+1)
				}
			}
			for i, got := range Build(all.members, &o, nil).Localities() {
				if text := fmt.Sprintf("%.1f %%", got.Percent); text != row[2+i] {
					t.Errorf("%s gets %s, the page says %s", got.Locality.Zone, text, row[2+i])
				}
			}
		})
	}
}

func TestPageOfSlowStart(t *testing.T) {
	for _, row := range pageTable(t, "| age | aggression 1 | aggression 2 |") {
		age := time.Duration(numbers(t, row[0])[0]) * time.Second
		for aggression := 1; aggression <= 2; aggression++ {
			s := config.SlowStart{Window: time.Minute, Aggression: float64(aggression), MinWeightPercent: 10}
			if got := fmt.Sprintf("%.0f %%", 100*Ramp(&s, age)); got != row[aggression] {
				t.Errorf("age %s, aggression %d: %s, the page says %s", age, aggression, got, row[aggression])
			}
		}
	}
}

func TestRampBounds(t *testing.T) {
	for _, c := range []struct {
		name string
		s    config.SlowStart
		age  time.Duration
		want float64
	}{
		{"off", config.SlowStart{}, 0, 1},
		{"no minimum", config.SlowStart{Window: time.Hour, Aggression: 0.1}, 0, minRamp},
		{"from the first millisecond", config.SlowStart{Window: time.Second, Aggression: 1}, -time.Second, 0.001},
		{"no aggression", config.SlowStart{Window: time.Second}, time.Second / 2, 0.5},
		{"not a number", config.SlowStart{Window: time.Second, Aggression: math.NaN()}, time.Second / 2, 0.5},
		{"minimum above all", config.SlowStart{Window: time.Second, Aggression: 1, MinWeightPercent: 300}, 0, 1},
	} {
		if got := Ramp(&c.s, c.age); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// TestPageOfDisruption measures what moves when one endpoint goes, and holds it
// to twice the ideal, for Maglev's default table as long as it has enough
// entries for each (Maglev, section 5.3).
func TestPageOfDisruption(t *testing.T) {
	for _, row := range pageTable(t, "| endpoints | ring_hash | maglev |") {
		n := int(numbers(t, row[0])[0])
		for i, policy := range []config.LBPolicy{config.RingHash, config.Maglev} {
			got := disruption(policy, n)
			if text := fmt.Sprintf("%.2f", got); text != row[1+i] {
				t.Errorf("%s with %d endpoints: %s times the ideal moves, the page says %s", policy, n, text, row[1+i])
			}
			if got > 2 && (policy == config.RingHash || n <= 150) {
				t.Errorf("%s with %d endpoints: %.2f times the ideal moves", policy, n, got)
			}
		}
	}
}
