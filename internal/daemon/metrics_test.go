package daemon

import (
	"io"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/sluiceproxy/sluice/config"
)

// What clusters tell of themselves stands in the page that explains metrics:
// by its whole name, or by its name in outlier.md.
func TestEveryClusterMetricIsDocumented(t *testing.T) {
	pages := ""
	for _, name := range []string{"observability.md", "outlier.md"} {
		page, err := os.ReadFile("../../docs/" + name)
		if err != nil {
			t.Fatal(err)
		}
		pages += string(page)
	}
	tr := newTrial(t)
	everything := &tr.cfg.Clusters[0]
	check, outliers := config.DefaultHealthCheck(), config.DefaultOutlierDetection()
	check.Type = config.HealthCheckTCP
	everything.Type = config.ClusterStrictDNS
	everything.HealthChecks, everything.OutlierDetection = []config.HealthCheck{check}, &outliers
	everything.CircuitBreakers.TrackRemaining = true
	tr.start()
	answer, err := http.Get("http://" + tr.cfg.Admin.Address + "/stats/prometheus")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	families := 0
	for line := range strings.Lines(string(body)) {
		name, ok := strings.CutPrefix(line, "# TYPE ")
		if !ok || !strings.Contains(name, "_cluster_") && !strings.HasPrefix(name, "sluice_dns_") {
			continue
		}
		families++
		name, _, _ = strings.Cut(name, " ")
		short := strings.TrimPrefix(name, "envoy_cluster_outlier_detection_")
		for _, group := range []string{"ejections_detected_", "ejections_enforced_"} {
			if _, kind, found := strings.Cut(short, group); found && strings.Contains(pages, "`"+kind+"`") {
				short = group + "NAME"
			}
		}
		if !strings.Contains(pages, "`"+name+"`") && !strings.Contains(pages, "`"+short+"`") {
			t.Errorf("docs do not explain %s (%s)", name, short)
		}
	}
	if !strings.Contains(string(body), `sluice_dns_capped_total{cluster="app"} 0`) {
		t.Error("nothing tells of DNS answers that were cut")
	}
	if families < 40 {
		t.Errorf("only %d families of clusters", families)
	}
	tr.signals <- syscall.SIGTERM
	tr.waitEnd()
}
