package compare

import (
	"fmt"
	"time"

	"github.com/sluiceproxy/sluice/bench"
)

// Form is how much a comparison measures.
type Form string

// The forms.
const (
	Short Form = "short" // the scenarios with goals, in under 5 minutes on 2 cores
	Full  Form = "full"  // all, for as long as steady figures need
	Smoke Form = "smoke" // all, a second each: does everything work?
)

// Least rounds whose median says anything.
const rounds = 5

// small is the size of a small message.
const small = 128

// Scenarios are the scenarios of a form, and in how many rounds it measures
// them.
func (f Form) Scenarios() ([]bench.Scenario, int, error) {
	switch f {
	case Short:
		return timed(goals(), 150*time.Millisecond, 600*time.Millisecond), rounds, nil
	case Full:
		list := timed(everything(), time.Second, 5*time.Second)
		for i := range list {
			if list[i].Name == "churn" {
				list[i].Load.Duration = 5 * time.Minute
				list[i].Rounds = 1
			}
		}
		return list, rounds, nil
	case Smoke:
		return timed(everything(), 100*time.Millisecond, time.Second), 1, nil
	}
	return nil, 0, fmt.Errorf("form %q: want short, full or smoke", f)
}

// timed gives the scenarios their times.
func timed(list []bench.Scenario, warmup, duration time.Duration) []bench.Scenario {
	for i := range list {
		list[i].Load.Warmup, list[i].Load.Duration = warmup, duration
	}
	return list
}

// goals are the scenarios that sluice has goals in, and one in each mode of
// capture.
func goals() []bench.Scenario {
	atLeast := func(f bench.Figure, ratio float64) bench.Goal { return bench.Goal{Figure: f, Ratio: ratio} }
	atMost := atLeast // the figure says which
	return []bench.Scenario{
		requests(64, atLeast(bench.AnswersPerSecond, 1.10), atMost(bench.CPUPerAnswer, 0.90)),
		pingPong(atMost(bench.P50, 0.95), atMost(bench.P999, 1.0)),
		requests(1000, atLeast(bench.AnswersPerSecond, 1.10), atMost(bench.CPUPerAnswer, 0.90)),
		openLoop(atMost(bench.P999, 1.0)),
		streams(1, bench.Down, atLeast(bench.BitsPerSecond, 1.15), atMost(bench.CPUPerGigabyte, 0.80)),
		streams(8, bench.Down, atLeast(bench.BitsPerSecond, 1.15), atMost(bench.CPUPerGigabyte, 0.80)),
		connections(bench.FIN, atLeast(bench.OpenedPerSecond, 1.05), atMost(bench.CPUPerOpened, 0.95)),
		idle(9000, atMost(bench.RSSPerOpened, 0.35), bench.Goal{Figure: bench.RSSPerOpened, Limit: 1.25 * 1024}),
		churn(atMost(bench.P999, 1.1), bench.Goal{Figure: bench.LongestGCPause, Limit: 0.001}),
		captured(requests(64), bench.Redirect),
		captured(requests(64), bench.TProxy),
	}
}

// everything is goals and what else users ask about.
func everything() []bench.Scenario {
	scraped := requests(64)
	scraped.Name, scraped.Title = "requests-64-scraped", scraped.Title+", metrics with 10,000 series read every second"
	scraped.Scrape, scraped.Series = time.Second, 10_000
	slow := requests(64)
	slow.Name, slow.Title = "requests-64-slow", slow.Title+", beside 200 slow readers"
	slow.Load.Beside.SlowReaders = 200
	return append(goals(),
		requests(8),
		requests(256),
		sized(requests(64), 16<<10),
		scraped,
		slow,
		streams(1, bench.Up),
		streams(8, bench.Up),
		streams(8, bench.Both),
		connections(bench.RST),
		idle(1000),
		idle(4000),
		captured(connections(bench.FIN), bench.Redirect),
		captured(streams(8, bench.Down), bench.Redirect),
		captured(connections(bench.FIN), bench.TProxy),
		captured(streams(8, bench.Down), bench.TProxy),
	)
}

func requests(n int, goals ...bench.Goal) bench.Scenario {
	return bench.Scenario{
		Name:   fmt.Sprintf("requests-%d", n),
		Title:  fmt.Sprintf("%d connections, requests and responses of %d bytes", n, small),
		Mode:   bench.Explicit,
		Load:   bench.Load{Kind: bench.Requests, Protocol: bench.Own, Connections: n, Size: small},
		Figure: bench.AnswersPerSecond,
		Goals:  goals,
	}
}

func pingPong(goals ...bench.Goal) bench.Scenario {
	s := requests(1, goals...)
	s.Title = fmt.Sprintf("ping-pong of %d bytes on one connection", small)
	s.Figure = bench.P50
	return s
}

func sized(s bench.Scenario, size int) bench.Scenario {
	s.Name = fmt.Sprintf("%s-%dk", s.Name, size>>10)
	s.Title = fmt.Sprintf("%d connections, requests and responses of %d KiB", s.Load.Connections, size>>10)
	s.Load.Size = size
	return s
}

func openLoop(goals ...bench.Goal) bench.Scenario {
	s := requests(64, goals...)
	s.Name = "open-60"
	s.Title = "64 connections, requests at 60 % of the best peer's most, due by the clock"
	s.Of, s.Share = "requests-64", 0.60
	s.Figure = bench.P999
	return s
}

func streams(n int, direction bench.Direction, goals ...bench.Goal) bench.Scenario {
	words := map[bench.Direction]string{bench.Up: "up", bench.Down: "down", bench.Both: "both ways"}
	return bench.Scenario{
		Name:   fmt.Sprintf("streams-%d-%s", n, direction),
		Title:  fmt.Sprintf("%d bulk streams %s", n, words[direction]),
		Mode:   bench.Explicit,
		Load:   bench.Load{Kind: bench.Streams, Protocol: bench.Own, Connections: n, Size: 256 << 10, Direction: direction},
		Figure: bench.BitsPerSecond,
		Goals:  goals,
	}
}

func connections(ending bench.Ending, goals ...bench.Goal) bench.Scenario {
	return bench.Scenario{
		Name:  fmt.Sprintf("connections-%s", ending),
		Title: fmt.Sprintf("a new connection for each request, 32 at a time, closed by %s", map[bench.Ending]string{bench.FIN: "FIN", bench.RST: "RST"}[ending]),
		Mode:  bench.Explicit,
		Load: bench.Load{Kind: bench.Connections, Protocol: bench.Own, Connections: 32, Size: small,
			Ending: ending},
		Figure: bench.OpenedPerSecond,
		Goals:  goals,
	}
}

func idle(n int, goals ...bench.Goal) bench.Scenario {
	return bench.Scenario{
		Name:   fmt.Sprintf("idle-%d", n),
		Title:  fmt.Sprintf("%d idle connections", n),
		Mode:   bench.Explicit,
		Load:   bench.Load{Kind: bench.Idle, Protocol: bench.Own, Connections: n, Size: small},
		Figure: bench.RSSPerOpened,
		Goals:  goals,
		Fresh:  true,
	}
}

// churn is the day of a sidecar: connections come and go, many only exist, some
// carry streams.
func churn(goals ...bench.Goal) bench.Scenario {
	s := connections(bench.FIN, goals...)
	s.Name = "churn"
	s.Title = "new connections at 50 % of the best peer's most, beside 5000 idle ones and 4 streams"
	s.Of, s.Share = "connections-fin", 0.50
	s.Load.Beside = bench.Beside{Idle: 5000, Streams: 4}
	s.Figure = bench.P999
	return s
}

func captured(s bench.Scenario, mode bench.Mode) bench.Scenario {
	s.Name += "-" + string(mode)
	s.Title += map[bench.Mode]string{
		bench.Redirect: ", captured by REDIRECT on the way out",
		bench.TProxy:   ", captured by TPROXY on the way in",
	}[mode]
	s.Mode, s.Goals = mode, nil
	return s
}
