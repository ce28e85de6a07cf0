package report

import (
	"fmt"
	"strings"
	"time"

	"github.com/sluiceproxy/sluice/bench"
)

// nameOf is what a figure is called in heads and captions.
func nameOf(f bench.Figure) string {
	names := map[bench.Figure]string{
		bench.AnswersPerSecond: "requests/s",
		bench.OpenedPerSecond:  "connections/s",
		bench.BitsPerSecond:    "throughput",
		bench.CPUPerAnswer:     "CPU per request",
		bench.CPUPerGigabyte:   "CPU per GB",
		bench.CPUPerOpened:     "CPU per connection",
		bench.RSSPerOpened:     "RSS per connection",
		bench.PSSPerOpened:     "PSS per connection",
		bench.SwitchesPerUnit:  "context switches per unit",
		bench.P999:             "p99.9",
		bench.RSS:              "RSS",
		bench.PSS:              "PSS",
		bench.LongestGCPause:   "longest GC pause",
	}
	if name, ok := names[f]; ok {
		return name
	}
	return string(f)
}

// unitCost is the CPU figure of what a kind of load is about, and that unit in
// a word.
func unitCost(k bench.Kind) (bench.Figure, string) {
	switch k {
	case bench.Requests:
		return bench.CPUPerAnswer, "req"
	case bench.Streams:
		return bench.CPUPerGigabyte, "GB"
	}
	return bench.CPUPerOpened, "conn"
}

// modeWords says how connections reach the subject.
func modeWords(m bench.Mode) string {
	switch m {
	case bench.Explicit:
		return "explicit address"
	case bench.Redirect:
		return "captured by REDIRECT"
	case bench.TProxy:
		return "captured by TPROXY"
	}
	return string(m)
}

// loadWords describes a load in one line.
func loadWords(l bench.Load) string {
	parts := []string{whatWords(l)}
	if l.Protocol != bench.Own && l.Protocol != "" {
		parts = append(parts, "speaking "+string(l.Protocol))
	}
	if l.Rate > 0 {
		parts = append(parts, "at "+value(bench.AnswersPerSecond, l.Rate)+"/s whether or not answers come in time")
	}
	var beside []string
	for _, b := range []struct {
		n    int
		what string
	}{
		{l.Beside.Idle, "idle connections"},
		{l.Beside.Streams, "streams of 1 MiB/s"},
		{l.Beside.SlowReaders, "slow readers"},
	} {
		if b.n > 0 {
			beside = append(beside, count(b.n)+" "+b.what)
		}
	}
	if len(beside) > 0 {
		parts = append(parts, "meanwhile "+strings.Join(beside, " and "))
	}
	return strings.Join(append(parts, timeWords(l)), ", ")
}

func whatWords(l bench.Load) string {
	connections := plural(l.Connections, "connection")
	switch l.Kind {
	case bench.Requests:
		return fmt.Sprintf("%s, requests and responses of %s", connections, size(uint64(l.Size)))
	case bench.Connections:
		return fmt.Sprintf("new connections, %s at a time, one request of %s each, closed by %s",
			count(l.Connections), size(uint64(l.Size)), strings.ToUpper(string(l.Ending)))
	case bench.Streams:
		return fmt.Sprintf("%s %s, writes of %s", plural(l.Connections, "stream"), l.Direction, size(uint64(l.Size)))
	case bench.Idle:
		return connections + " that only exist"
	}
	return connections
}

func timeWords(l bench.Load) string {
	words := l.Duration.String()
	if l.Warmup > 0 {
		words += " after " + l.Warmup.String() + " of warmup"
	}
	return words
}

func plural(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return count(n) + " " + one + "s"
}

// goalWords says what is wanted: "requests/s ≥ 1.10 × best peer".
func goalWords(g bench.Goal) string {
	var wanted []string
	if g.Ratio != 0 {
		sign := "≤"
		if g.Figure.MoreIsBetter() {
			sign = "≥"
		}
		wanted = append(wanted, fmt.Sprintf("%s %s × best peer", sign, ratio(g.Ratio)))
	}
	if g.Limit != 0 {
		wanted = append(wanted, "≤ "+value(g.Figure, g.Limit))
	}
	return nameOf(g.Figure) + " " + strings.Join(wanted, " and ")
}

// resultWords says what became of a goal.
func resultWords(v *bench.Verdict) string {
	switch v.Result {
	case bench.Missed:
		return fmt.Sprintf("missed by %.1f %%", 100*v.Off)
	case bench.Unjudged:
		return fmt.Sprintf("%s: %s", v.Result, v.Why)
	}
	return string(v.Result)
}

// leftOutWords says what was left out of what.
func leftOutWords(l bench.LeftOut) string {
	words := l.Subject
	if l.Scenario != "" {
		words += ", scenario " + l.Scenario
	}
	if l.Mode != "" {
		words += ", " + modeWords(l.Mode)
	}
	return words
}

// machineWords names the machine in one line.
func machineWords(m bench.Machine) string {
	return fmt.Sprintf("%s: %s, %s, %s, %s, %s", m.Host, plural(m.Cores, "core"), m.CPU, size(m.Memory), m.Kernel, m.Go)
}

// takenWords says when it ran, for how long and how often.
func takenWords(r *bench.Report) string {
	return fmt.Sprintf("%s, %s, took %s", r.Started.UTC().Format("2006-01-02 15:04 UTC"),
		plural(r.Rounds, "round"), r.Took.Round(time.Second))
}
