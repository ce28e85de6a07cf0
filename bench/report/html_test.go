package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/bench"
)

func pageOf(t *testing.T, r *bench.Report) string {
	t.Helper()
	var b bytes.Buffer
	if err := HTML(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestHTMLNeedsNothingElse(t *testing.T) {
	text := pageOf(t, sample())
	for _, pattern := range []string{`(?i)<(script|link|img|iframe|object|embed)\b`, `(?i)@import`, `(?i)\burl\(`, `https?://`, `(?i)\bon[a-z]+=`, `ZgotmplZ`} {
		if found := regexp.MustCompile(pattern).FindString(text); found != "" {
			t.Errorf("the page has %q", found)
		}
	}
	for _, m := range regexp.MustCompile(`(?:href|src)="([^"]*)"`).FindAllStringSubmatch(text, -1) {
		if !strings.HasPrefix(m[1], "#") || !strings.Contains(text, `id="`+m[1][1:]+`"`) {
			t.Errorf("the page points to %q, which is not in it", m[1])
		}
	}
}

func TestHTMLSaysEverything(t *testing.T) {
	text := pageOf(t, sample())
	want := []string{"sluicebench compare --short --rounds 3", "AMD EPYC 7763", "Linux 6.12.48", "2.6.12",
		"13 of 17 reached", "missed by 1.3 %", "round 2: 3 × reset", "as generated for envoy", "haproxy.conf",
		"no variable with the original destination", "coordinated omission", "round 3"}
	for _, s := range sample().Scenarios {
		want = append(want, `id="scenario-`+s.Name+`"`)
	}
	for id := range plotted() {
		want = append(want, `<figure id="`+id+`">`, `<title id="`+id+`-title">`)
	}
	for _, w := range want {
		if !strings.Contains(text, w) {
			t.Errorf("the page does not have %q", w)
		}
	}
}

// TestHTMLIdsAreUnique reads each plot as XML too: Chromium forgives a lot.
func TestHTMLIdsAreUnique(t *testing.T) {
	text := pageOf(t, sample())
	seen := make(map[string]bool)
	for _, m := range regexp.MustCompile(`\bid="([^"]*)"`).FindAllStringSubmatch(text, -1) {
		if seen[m[1]] {
			t.Errorf("id %q is there twice", m[1])
		}
		seen[m[1]] = true
	}
	for _, svg := range regexp.MustCompile(`(?s)<svg.*?</svg>`).FindAllString(text, -1) {
		if err := wellFormed(svg); err != nil {
			t.Errorf("a plot is no XML: %v\n%.300s", err, svg)
		}
		if strings.Contains(svg, "NaN") || strings.Contains(svg, "Inf") {
			t.Errorf("a plot has a place that is no number:\n%.300s", svg)
		}
	}
}

func wellFormed(text string) error {
	decoder := xml.NewDecoder(strings.NewReader(text))
	for {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func TestHTMLEscapes(t *testing.T) {
	const evil = `</title></style><script>alert("x")</script>&"'`
	r := sample()
	r.Machine.Host, r.Command = evil, evil
	r.Subjects = append(r.Subjects, bench.Subject{Name: evil, Version: evil,
		Configs: []bench.Config{{Mode: evil, Command: []string{evil}, File: evil, Text: evil}}})
	r.LeftOut = append(r.LeftOut, bench.LeftOut{Subject: evil, Why: evil})
	r.Scenarios[0].Title, r.Scenarios[0].Mode = evil, evil
	r.Rows = append(r.Rows, bench.Row{Scenario: r.Scenarios[0].Name, Subject: evil, Rounds: r.Rows[0].Rounds})
	r.Rows = append(r.Rows, bench.Row{Scenario: r.Scenarios[1].Name, Subject: evil, Void: evil})
	text := pageOf(t, r)
	if strings.Contains(text, "<script") || strings.Contains(text, `</title></style>`) {
		t.Error("the page has a script that stood in the report")
	}
}

// TestHTMLOfLittle makes pages of reports that lack what others have.
func TestHTMLOfLittle(t *testing.T) {
	onlySluice, noRounds, oneIdle := sample(), sample(), sample()
	onlySluice.Rows = onlySluice.Rows[1:2]
	for i := range noRounds.Rows {
		noRounds.Rows[i].Rounds = nil
	}
	oneIdle.Scenarios = oneIdle.Scenarios[8:9]
	type littleCase struct {
		name    string
		report  *bench.Report
		figures int
	}
	for _, c := range []littleCase{
		{"nothing", &bench.Report{}, 0},
		{"rows without rounds", noRounds, 0},
		{"one row", onlySluice, 4}, // line with one point, rate, CPU, latency
		{"one number of idle connections", oneIdle, 1},
	} {
		text := pageOf(t, c.report)
		if n := strings.Count(text, "<figure "); n != c.figures {
			t.Errorf("%s: %d plots, want %d", c.name, n, c.figures)
		}
		if strings.Contains(text, "NaN") {
			t.Errorf("%s: NaN is written", c.name)
		}
	}
}

func TestScales(t *testing.T) {
	type scaleCase struct {
		name string
		got  []float64
		want string
	}
	ticksOf := func(_ scale, at []float64) []float64 { return at }
	for _, c := range []scaleCase{
		{"from zero", ticksOf(fromZero(290e3, 1e3)), "[0 100000 200000 300000]"},
		{"from zero, in KiB", ticksOf(fromZero(5*1024, 1024)), "[0 1024 2048 3072 4096 5120]"},
		{"nothing", ticksOf(fromZero(0, 1)), "[0 0.2 0.4 0.6000000000000001 0.8 1]"},
		{"logarithmic", ticksOf(logarithmic(30, 700)), "[20 50 100 200 500 1000]"},
		{"many powers", ticksOf(logarithmic(1, 9e4)), "[1 10 100 1000 10000 100000]"},
		{"one value", ticksOf(logarithmic(100, 100)), "[100 200]"},
	} {
		if got := fmt.Sprint(c.got); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestQuantile(t *testing.T) {
	l := curve(1e6, 0.3, 1000)
	for _, q := range l.Curve[:10] {
		if got := quantile(&l, q.Percentile); got != q.Value.Seconds() {
			t.Errorf("p%v is %v, want the curve's %v", q.Percentile, got, q.Value.Seconds())
		}
	}
	if got := quantile(&l, 99.99); got == got {
		t.Errorf("p99.99 of 1000 is %v, want none", got)
	}
	if low, got, high := l.P99.Seconds(), quantile(&l, 99.2), l.P999.Seconds(); !(low < got && got < high) {
		t.Errorf("p99.2 is %v, want it between %v and %v", got, low, high)
	}
	l.Curve = nil
	if got := quantile(&l, 99); got != l.P99.Seconds() {
		t.Errorf("without a curve p99 is %v, want %v", got, l.P99.Seconds())
	}
}

// TestRoundsStandUnderTheirNumber has a subject that missed a round.
func TestRoundsStandUnderTheirNumber(t *testing.T) {
	r := sample()
	s := r.Scenario("requests-64")
	row := r.Row(s.Name, bench.Envoy)
	row.Rounds = append(row.Rounds[:1:1], row.Rounds[2])
	for _, rounds := range newDetail(r, s).Rounds {
		if rounds.Subject == bench.Envoy && (rounds.Cells[1].Value != none || rounds.Cells[2].Best == none) {
			t.Errorf("envoy lacks round 2, and its cells are %v", rounds.Cells)
		}
	}
	s = r.Scenario("churn")
	for _, rounds := range newDetail(r, s).Rounds {
		if void := rounds.Subject == bench.HAProxy; void != (rounds.Cells[0].Best == none) {
			t.Errorf("%s has the ratio %s to the best peer, void: %v", rounds.Subject, rounds.Cells[0].Best, void)
		}
	}
}
