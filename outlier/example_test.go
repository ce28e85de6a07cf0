package outlier

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/config"
)

// TestExampleOfThePage runs the table of docs/outlier.md with the
// configuration above it.
func TestExampleOfThePage(t *testing.T) {
	text, err := os.ReadFile("../docs/outlier.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "## An example")
	example, _, _ := strings.Cut(rest, "\n## ")
	r := newRig(t, SettingsOf(exampleConfig(t, example)), 4, nil)
	start, rows := r.now, 0
	for line := range strings.Lines(example) {
		cells := strings.Split(strings.TrimSpace(line), " | ")
		at, err := time.ParseDuration(strings.TrimPrefix(cells[0], "| "))
		if err != nil || len(cells) < 3 {
			continue
		}
		rows++
		r.now = start.Add(at)
		exampleStep(r, cells[1])
		if got := exampleState(r, start); got != cells[2] {
			t.Errorf("%s: ejected %s; the page says %s", cells[0], got, cells[2])
		}
	}
	if rows != 19 {
		t.Errorf("the table has %d rows that could be read", rows)
	}
	if got := r.d.Counts().Overflow; got != 1 {
		t.Errorf("%d overflows; the page says 1", got)
	}
}

// exampleConfig reads the keys of the page's YAML.
func exampleConfig(t *testing.T, page string) *config.OutlierDetection {
	o := config.DefaultOutlierDetection()
	keys := 0
	for _, found := range regexp.MustCompile(`(?m)^  (\w+): (\w+)$`).FindAllStringSubmatch(page, -1) {
		d, _ := time.ParseDuration(found[2])
		n, _ := strconv.Atoi(found[2])
		keys++
		switch found[1] {
		case "interval":
			o.Interval = d
		case "base_ejection_time":
			o.BaseEjectionTime = d
		case "max_ejection_time":
			o.MaxEjectionTime = d
		case "max_ejection_percent":
			o.MaxEjectionPercent = uint32(n)
		case "consecutive_early_close":
			o.ConsecutiveEarlyClose = uint32(n)
		default:
			t.Fatalf("no rule for %s", found[1])
		}
	}
	if keys != 5 {
		t.Fatalf("read %d keys", keys)
	}
	return &o
}

func exampleStep(r *rig, what string) {
	if what == "sweep" {
		r.sweep(0)
		return
	}
	step := regexp.MustCompile(`^(?:(\d+) (connects? to|connections to)|(health check of)) ([A-D]) (fail|succeeds|close early|passes)$`).FindStringSubmatch(what)
	if step == nil {
		r.t.Fatalf("no rule for %q", what)
	}
	count, _ := strconv.Atoi(step[1])
	id := int(step[4][0] - 'A')
	switch step[5] {
	case "fail":
		r.report(id, LocalConnectFailed, count)
	case "succeeds":
		r.report(id, LocalConnectSuccess, count)
	case "close early":
		for range count {
			r.report(id, LocalConnectSuccess, 1)
			r.report(id, EarlyClose, 1)
		}
	case "passes":
		r.d.HealthCheckResult(int32(id), true, r.now)
	}
}

func exampleState(r *rig, start time.Time) string {
	var list []string
	for _, id := range r.ejected() {
		status, _ := r.d.Status(int32(id))
		seconds := strconv.Itoa(int(status.Until.Sub(start).Seconds()))
		list = append(list, string(rune('A'+id))+" until "+seconds+"s")
	}
	if list == nil {
		return "nobody"
	}
	return strings.Join(list, ", ")
}
