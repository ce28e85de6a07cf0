package report

import (
	"math"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/bench"
)

func TestValue(t *testing.T) {
	type valueCase struct {
		figure bench.Figure
		v      float64
		want   string
	}
	for _, c := range []valueCase{
		{bench.AnswersPerSecond, 151_234, "151 k"}, {bench.AnswersPerSecond, 12, "12.0"}, {bench.OpenedPerSecond, 2.5e6, "2.50 M"},
		{bench.AnswersPerSecond, 999.9, "1.00 k"},
		{bench.BitsPerSecond, 41.23e9, "41.2 Gb/s"}, {bench.BitsPerSecond, 0, "0.00 b/s"},
		{bench.CPUPerAnswer, 6.614e-6, "6.61 µs"}, {bench.CPUPerGigabyte, 0.19, "190 ms"}, {bench.P50, 3e-8, "30.0 ns"},
		{bench.Max, 1.25, "1.25 s"}, {bench.LongestGCPause, 1.3e-4, "130 µs"},
		{bench.RSSPerOpened, 1280, "1.25 KiB"}, {bench.RSSPerOpened, -10, "-10.0 B"}, {bench.RSS, 11 << 20, "11.0 MiB"},
		{bench.SwitchesPerUnit, 0.004, "0.00"}, {bench.P99, math.NaN(), none},
	} {
		if got := value(c.figure, c.v); got != c.want {
			t.Errorf("%s of %v: %q, want %q", c.figure, c.v, got, c.want)
		}
	}
}

func TestCount(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 200000: "200,000", 1234567: "1,234,567", -100: "-100", -1000: "-1,000"} {
		if got := count(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}

func TestLoadWords(t *testing.T) {
	type wordsCase struct {
		load bench.Load
		want string
	}
	requests := load(bench.Requests, 1, 64)
	requests.Rate, requests.Protocol, requests.Warmup = 9e4, bench.Redis, 0
	churn := load(bench.Connections, 64, 1024)
	churn.Beside = bench.Beside{Idle: 5000, SlowReaders: 20}
	churn.Duration = 5 * time.Minute
	for _, c := range []wordsCase{
		{requests, "1 connection, requests and responses of 64 B, speaking redis, at 90.0 k/s whether or not answers come in time, 5s"},
		{churn, "new connections, 64 at a time, one request of 1 KiB each, closed by FIN, meanwhile 5,000 idle connections and 20 slow readers, 5m0s after 1s of warmup"},
		{load(bench.Streams, 8, 65536), "8 streams down, writes of 64 KiB, 5s after 1s of warmup"},
		{load(bench.Idle, 9000, 64), "9,000 connections that only exist, 5s after 1s of warmup"},
	} {
		if got := loadWords(c.load); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
