package healthcheck

import (
	"os"
	"regexp"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/config"
)

// The example of docs/health.md, row by row.
func TestExampleOfThePage(t *testing.T) {
	page, err := os.ReadFile("../docs/health.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile(`(?m)^\| (passes|times out)[^|]*\| (\w+) \| (\w+) \|$`).FindAllSubmatch(page, -1)
	if len(rows) != 7 {
		t.Fatalf("%d rows found", len(rows))
	}
	c := config.DefaultHealthCheck()
	c.UnhealthyInterval, c.UnhealthyEdgeInterval, c.HealthyEdgeInterval = 2*time.Second, time.Second, time.Second
	var h health
	for i, row := range rows {
		passes := string(row[1]) == "passes"
		step := unchanged
		if passes {
			step = h.success(false, &c)
		} else {
			step = h.failure(Timeout, &c)
		}
		after := interval(&c, passes, step, true)
		if h.state().String() != string(row[2]) || after.String() != string(row[3]) {
			t.Errorf("row %d: %s, next after %v; the page says %s and %s", i+1, h.state(), after, row[2], row[3])
		}
	}
}
