package test

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/internal/testnet"
)

// BenchmarkStart is how long a start takes with the configuration that is built
// in: from exec (of nsenter and setpriv, which take a few milliseconds) until the
// log says ready, and until the readiness port does; and what the daemon's own
// code takes of it.
//
//	go test ./test -run '^$' -bench Start -benchtime 101x
func BenchmarkStart(b *testing.B) {
	pod := testnet.New(b).Host("pod").As(sidecarID, sidecarID)
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(_ context.Context, network, address string) (net.Conn, error) {
			return pod.DialFrom(new(net.Dialer), network, address)
		},
	}}
	var said, answered, own []float64
	for b.Loop() {
		began := time.Now()
		p := pod.Start(os.Getenv(binaryVar), "run")
		for !answers(client) {
			if p.Exited() || time.Since(began) > patience {
				b.Fatalf("not ready after %v:\n%s", time.Since(began), p.Log())
			}
			let(b, time.Millisecond)
		}
		answered = append(answered, milliseconds(time.Since(began)))
		p.WaitLog(`"msg":"ready"`)
		at, after := readyLine(b, p.Log())
		said, own = append(said, milliseconds(at.Sub(began))), append(own, milliseconds(after))
		p.Kill() // a drain would take drain.min_time
	}
	b.ReportMetric(0, "ns/op")
	for name, list := range map[string][]float64{"exec-to-log": said, "exec-to-200": answered, "own": own} {
		slices.Sort(list)
		b.ReportMetric(list[len(list)/2], name+"-ms-median")
		b.ReportMetric(list[0], name+"-ms-least")
		b.ReportMetric(list[len(list)*9/10], name+"-ms-p90")
	}
}

func answers(client *http.Client) bool {
	response, err := client.Get("http://127.0.0.1:15021/healthz/ready")
	if err != nil {
		return false
	}
	response.Body.Close()
	return response.StatusCode == http.StatusOK
}

func milliseconds(d time.Duration) float64 { return d.Seconds() * 1e3 }

// readyLine is when a log says ready, and after what time by its own account.
func readyLine(tb testing.TB, log string) (at time.Time, after time.Duration) {
	tb.Helper()
	for line := range strings.Lines(log) {
		var ready struct {
			Msg, After string
			TS         time.Time
		}
		if json.Unmarshal([]byte(line), &ready) == nil && ready.Msg == "ready" {
			after, err := time.ParseDuration(ready.After)
			if err != nil {
				tb.Fatal(err)
			}
			return ready.TS, after
		}
	}
	tb.Fatalf("it does not say how long it took:\n%s", log)
	return time.Time{}, 0
}
