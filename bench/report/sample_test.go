package report

import (
	"bytes"
	"flag"
	"hash/fnv"
	"math"
	"os"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/bench"
)

var update = flag.Bool("update", false, "rewrite the files under testdata")

// trait is how a made-up subject behaves against sluice, which is 1 in all.
type trait struct {
	name, version         string
	speed, cpu, mem, tail float64
}

func traits() []trait {
	return []trait{
		{bench.Direct, "", 1.9, 0, 0, 0.55},
		{bench.Sluice, "v0.1.0", 1, 1, 1, 1},
		{bench.Nginx, "1.22.1", 0.88, 1.17, 4.1, 1.14},
		{bench.HAProxy, "2.6.12", 0.84, 1.22, 6.8, 1.36},
		{bench.Envoy, "1.36.2", 0.61, 1.65, 9.6, 1.6},
	}
}

// plan is a scenario with sluice's numbers in it.
type plan struct {
	scenario bench.Scenario
	rate     float64 // answers, connections or bytes a second; of Idle nothing
	p50      time.Duration
}

func plans() []plan {
	requests := func(name, title string, mode bench.Mode, n int, goals ...bench.Goal) bench.Scenario {
		return bench.Scenario{Name: name, Title: title, Mode: mode, Figure: bench.AnswersPerSecond, Goals: goals,
			Load: load(bench.Requests, n, 64)}
	}
	more, less := bench.Goal{Figure: bench.AnswersPerSecond, Ratio: 1.1}, bench.Goal{Figure: bench.CPUPerAnswer, Ratio: 0.9}
	one := requests("requests-1", "Ping-pong", bench.Explicit, 1, bench.Goal{Figure: bench.P50, Ratio: 0.95}, bench.Goal{Figure: bench.P999, Ratio: 1})
	one.Figure = bench.P50
	open := requests("open-loop", "Open loop at 60 % of the best peer's most", bench.Explicit, 64, bench.Goal{Figure: bench.P999, Ratio: 1})
	open.Figure, open.Of, open.Share = bench.P999, "requests-64", 0.6
	fin := bench.Scenario{Name: "connections-fin", Title: "New connections", Mode: bench.Explicit, Figure: bench.OpenedPerSecond,
		Load:  load(bench.Connections, 64, 64),
		Goals: []bench.Goal{{Figure: bench.OpenedPerSecond, Ratio: 1.05}, {Figure: bench.CPUPerOpened, Ratio: 0.95}}}
	churn := fin
	churn.Name, churn.Title, churn.Figure = "churn", "Churn beside idle connections and streams", bench.P999
	churn.Load.Beside = bench.Beside{Idle: 5000, Streams: 2}
	churn.Goals = []bench.Goal{{Figure: bench.P999, Ratio: 1.1}, {Figure: bench.LongestGCPause, Limit: 1e-3}}
	streams := func(name, title string, n int) bench.Scenario {
		return bench.Scenario{Name: name, Title: title, Mode: bench.Explicit, Figure: bench.BitsPerSecond, Load: load(bench.Streams, n, 65536),
			Goals: []bench.Goal{{Figure: bench.BitsPerSecond, Ratio: 1.15}, {Figure: bench.CPUPerGigabyte, Ratio: 0.8}}}
	}
	idle := func(name, title string, n int, goals ...bench.Goal) bench.Scenario {
		return bench.Scenario{Name: name, Title: title, Mode: bench.Explicit, Figure: bench.RSSPerOpened, Fresh: true,
			Load: load(bench.Idle, n, 64), Goals: goals}
	}
	return []plan{
		{one, 21e3, 46 * time.Microsecond},
		{requests("requests-64", "Small messages, 64 connections", bench.Explicit, 64, more, less), 152e3, 405 * time.Microsecond},
		{requests("requests-1000", "Small messages, 1,000 connections", bench.Explicit, 1000, more, less), 118e3, 8300 * time.Microsecond},
		{open, 80e3, 170 * time.Microsecond},
		{fin, 23e3, 2700 * time.Microsecond},
		{streams("streams-1", "One bulk stream", 1), 3.9e9, 0},
		{streams("streams-8", "Eight bulk streams", 8), 4.4e9, 0},
		{idle("idle-1000", "1,000 idle connections", 1000), 0, 0},
		{idle("idle-9000", "9,000 idle connections", 9000, bench.Goal{Figure: bench.RSSPerOpened, Ratio: 0.35, Limit: 1280}), 0, 0},
		{churn, 19e3, 3100 * time.Microsecond},
		{requests("redirect-64", "Small messages, outbound capture", bench.Redirect, 64, more), 147e3, 420 * time.Microsecond},
	}
}

func load(kind bench.Kind, connections, size int) bench.Load {
	l := bench.Load{Kind: kind, Protocol: bench.Own, Connections: connections, Size: size,
		Warmup: time.Second, Duration: 5 * time.Second, Loops: 1}
	switch kind {
	case bench.Streams:
		l.Direction = bench.Down
	case bench.Connections:
		l.Ending = bench.FIN
	}
	return l
}

// sample makes up a report with everything in it that a report can have.
// It is the same each time.
func sample() *bench.Report {
	r := &bench.Report{
		Machine: bench.Machine{Host: "bench-1", Kernel: "Linux 6.12.48", CPU: "AMD EPYC 7763", Cores: 2, Memory: 8 << 30, Go: "go1.26.0"},
		Started: time.Date(2026, 7, 4, 11, 5, 0, 0, time.UTC), Took: 4*time.Minute + 41*time.Second,
		Command: "sluicebench compare --short --rounds 3", Rounds: 3,
		LeftOut: []bench.LeftOut{
			{Subject: bench.Nginx, Mode: bench.Redirect, Why: "its stream module has no variable with the original destination of REDIRECT"},
			{Subject: bench.Envoy, Mode: bench.TProxy, Scenario: "tproxy-64", Why: "ran out of <time> & patience"},
		},
	}
	for _, t := range traits() {
		s := bench.Subject{Name: t.name, Version: t.version}
		if t.name != bench.Direct {
			s.Configs = []bench.Config{{Mode: bench.Explicit, Command: []string{t.name, "-c", t.name + ".conf"}, File: t.name + ".conf",
				Text: "# as generated for " + t.name + "\nlisten <address> & port\nworkers 2\n"}}
		}
		r.Subjects = append(r.Subjects, s)
	}
	for _, p := range plans() {
		r.Scenarios = append(r.Scenarios, p.scenario)
		for _, t := range traits() {
			if p.scenario.Mode == bench.Redirect && t.name == bench.Nginx {
				continue
			}
			row := bench.Row{Scenario: p.scenario.Name, Subject: t.name}
			for n := 1; n <= r.Rounds; n++ {
				row.Rounds = append(row.Rounds, madeUp(p, t, n))
			}
			if p.scenario.Name == "churn" && t.name == bench.HAProxy {
				row.Rounds[1].Measure.Errors = map[string]uint64{"reset": 3}
				row.Void = "round 2: 3 × reset"
			}
			r.Rows = append(r.Rows, row)
		}
	}
	return r
}

// madeUp is one round. All of it scatters by some percent, in the same way for
// the same scenario, subject and number.
func madeUp(p plan, t trait, number int) bench.Round {
	shake := func(what string) float64 {
		hash := fnv.New32a()
		hash.Write([]byte(p.scenario.Name + t.name + what + string(rune('0'+number))))
		return 0.97 + 0.06*float64(hash.Sum32()%1000)/1000
	}
	m := bench.Measure{Load: p.scenario.Load, Elapsed: p.scenario.Load.Duration}
	done := p.rate * t.speed * shake("rate") * m.Elapsed.Seconds()
	seconds := 0.0
	switch m.Load.Kind {
	case bench.Requests:
		if p.scenario.Of != "" {
			m.Load.Rate, done = p.rate, p.rate*m.Elapsed.Seconds()
		}
		m.Answers, seconds = uint64(done), done*6.4e-6
	case bench.Connections:
		m.Answers, m.Opened, seconds = uint64(done), uint64(done), done*41e-6
	case bench.Streams:
		m.BytesDown, seconds = uint64(done), done*0.19e-9
	case bench.Idle:
		m.Opened, seconds = uint64(m.Load.Connections), float64(m.Load.Connections)*30e-6
	}
	m.BytesUp += m.Answers * 64
	m.BytesDown += m.Answers * 64
	if p.p50 > 0 {
		m.Latency = curve(float64(p.p50)/math.Sqrt(t.speed)*shake("p50"), 0.32*t.tail*shake("tail"), m.Answers)
	}
	if t.cpu > 0 {
		m.Proxy = cost(seconds*t.cpu*shake("cpu"), t, &m)
	}
	m.Generator = bench.Usage{User: time.Second, System: 3 * time.Second, Threads: 4, Processes: 1}
	round := bench.Round{Number: number, Measure: m}
	if t.name == bench.Sluice {
		round.GCPause = time.Duration(float64(130*time.Microsecond) * shake("gc"))
	}
	return round
}

// cost spreads the proxy's processor time and memory.
func cost(seconds float64, t trait, m *bench.Measure) bench.Usage {
	before := uint64(9<<20 + t.mem*float64(2<<20))
	held := uint64(float64(m.Load.Connections+m.Load.Beside.Idle) * 1180 * t.mem)
	return bench.Usage{
		User: time.Duration(seconds * 0.2e9), System: time.Duration(seconds * 0.8e9),
		Voluntary: uint64(seconds * 900), Involuntary: uint64(seconds * 60), Threads: 3, Processes: 1,
		Before: bench.Memory{RSS: before, PSS: before * 9 / 10}, Memory: bench.Memory{RSS: before + held, PSS: before*9/10 + held},
	}
}

// curve is a distribution that grows from its median with the number of nines.
func curve(median, tail float64, n uint64) bench.Latency {
	at := func(percentile float64) time.Duration {
		nines := -math.Log10(1 - percentile/100)
		return time.Duration(median * (0.8 + 0.2*nines/0.30103 + tail*max(0, nines-0.8)*nines)).Round(10 * time.Nanosecond)
	}
	l := bench.Latency{Count: n, Min: at(0), Mean: at(58), P50: at(50), P90: at(90), P99: at(99), P999: at(99.9), Max: at(99.9995)}
	for _, p := range []float64{0, 25, 50, 75, 90, 95, 97.5, 99, 99.5, 99.9, 99.95, 99.99, 99.999} {
		l.Curve = append(l.Curve, bench.Quantile{Percentile: p, Value: at(p)})
	}
	l.Curve = append(l.Curve, bench.Quantile{Percentile: 100, Value: l.Max})
	return l
}

// golden compares with a file under testdata, which -update rewrites.
func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	path := "testdata/" + file
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs (go test -update rewrites it); got:\n%.20000s", path, got)
	}
}
