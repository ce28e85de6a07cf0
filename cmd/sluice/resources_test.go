package main

import (
	"math"
	"runtime/debug"
	"strings"
	"testing"
	"testing/fstest"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// logged is what fn says, one line for each message and its fields.
func logged(fn func(*zap.Logger)) string {
	core, logs := observer.New(zap.DebugLevel)
	fn(zap.New(core))
	var b strings.Builder
	for _, entry := range logs.All() {
		b.WriteString(entry.Level.String() + " " + entry.Message)
		for _, field := range entry.Context {
			b.WriteString(" " + field.Key)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func TestMemoryLimit(t *testing.T) {
	groups := func(limit string) fstest.MapFS {
		return fstest.MapFS{
			"proc/self/cgroup":         {Data: []byte("0::/\n")},
			"proc/self/mountinfo":      {Data: []byte("30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n")},
			"sys/fs/cgroup/memory.max": {Data: []byte(limit + "\n")},
		}
	}
	type limitCase struct {
		name string
		root fstest.MapFS
		env  string
		want int64
		says string
	}
	const before = 1 << 40 // what the Go runtime would have made of GOMEMLIMIT
	for _, tc := range []limitCase{
		{"of the control group", groups("1000000000"), "", 900000000, "info memory limit of the control group"},
		{"of the environment", groups("1000000000"), "1TiB", before, "info memory limit of the environment"},
		{"none on purpose", groups("1000000000"), "off", before, "info memory limit of the environment"},
		{"none", groups("max"), "", before, "info no memory limit"},
		{"no control groups", fstest.MapFS{}, "", before, "info no memory limit"},
		{"not understood", groups("much"), "", before, "warn the memory limit of the control group is not known"},
		{"tiny", groups("1"), "", 1, "info memory limit of the control group"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			defer debug.SetMemoryLimit(debug.SetMemoryLimit(before))
			surroundings := &env{getenv: func(name string) string {
				if name != "GOMEMLIMIT" {
					t.Errorf("asked for %s", name)
				}
				return tc.env
			}}
			said := logged(func(log *zap.Logger) { useMemory(surroundings, tc.root, log) })
			if got := debug.SetMemoryLimit(-1); got != tc.want || !strings.HasPrefix(said, tc.says) {
				t.Errorf("limit %d, want %d; it says %q, want %q", got, tc.want, said, tc.says)
			}
			debug.SetMemoryLimit(math.MaxInt64) // a limit of 1 byte would slow down what follows
		})
	}
}

func TestDescriptorsAreReported(t *testing.T) {
	type reportCase struct {
		name               string
		limit, connections int
		want               string
	}
	for _, tc := range []reportCase{
		{"enough", 1 << 20, 50000, "info limit of descriptors descriptors\n"},
		{"connections without a limit", 1024, 0, "info limit of descriptors descriptors\n"},
		{"too few", 99999, 50000, "info limit of descriptors descriptors\nwarn there are not enough descriptors for limits.max_connections; raise the hard limit (LimitNOFILE= in systemd, ulimit -Hn) descriptors wanted\n"},
		{"not known", 0, 50000, "warn the limit of descriptors is not known\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := logged(func(log *zap.Logger) { reportDescriptors(tc.limit, tc.connections, log) }); got != tc.want {
				t.Errorf("it says %q, want %q", got, tc.want)
			}
		})
	}
}
