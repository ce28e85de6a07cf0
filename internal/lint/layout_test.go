package lint

// module is the path that our own imports begin with.
const module = "github.com/sluiceproxy/sluice"

// layout states which of our packages each package may import. Arrows point
// from the assembly (cmd, daemon) down to config and sock, never up or in a
// circle; docs/architecture.md draws them. A package that stands here without
// being there, or the reverse, fails the test.
func layout() map[string][]string {
	loops := []string{"internal/accesslog", "internal/eventloop", "internal/sock", "internal/stats"}
	return map[string][]string{
		// Knows no front door and no engine: everything else speaks through it.
		"config":        {},
		"config/native": {"config"},
		"configs":       {},

		"intercept":       {"internal/sock"},
		"intercept/rules": {"internal/sock"},

		"listener":         with(loops, "config", "intercept", "listener/inspect", "listener/policy"),
		"listener/inspect": {},
		"listener/policy":  {"config"},

		// The daemon's way of a connection, in words and without sockets.
		"listener/explain": {"cluster", "config", "internal/accesslog", "internal/stats", "listener", "listener/policy"},

		// Has no clock and no goroutine: its owner says what the time is.
		"outlier":     {"config"},
		"healthcheck": {"config", "internal/eventloop", "internal/sock"},

		"cluster":     with(loops, "cluster/balance", "cluster/dns", "config", "healthcheck", "listener/inspect", "outlier"),
		"cluster/dns": {"config"},
		"proxy":       with(loops, "config", "intercept", "listener", "listener/policy", "cluster", "outlier", "proxy/relay", "internal/handover"),
		"proxy/relay": {"internal/eventloop", "internal/sock", "internal/stats"},

		// Arithmetic, without sockets and goroutines.
		"cluster/balance": {"config"},

		// Sees the daemon through a struct of functions, so that it serves
		// whatever daemon there is.
		"admin": with(loops, "config"),

		"internal/accesslog":   {"config"},
		"internal/watch":       {},
		"internal/cgroup":      {},
		"internal/conformance": {},
		"internal/handover":    {"internal/sock", "internal/systemd"},
		"internal/systemd":     {"internal/sock"},
		"internal/eventloop":   {"internal/sock"},
		"internal/sock":        {},
		"internal/stats":       {},

		"internal/daemon": with(loops, "internal/handover", "internal/systemd", "internal/watch", "admin", "cluster", "cluster/dns", "healthcheck", "outlier", "config", "intercept", "listener", "listener/policy", "proxy"),
		"cmd/sluice":      {"config", "config/native", "configs", "intercept/rules", "internal/cgroup", "internal/daemon", "internal/handover", "internal/sock", "internal/systemd", "listener/explain"},

		// Measures sluice as a user sees it, as a program; of its inside the
		// load generator uses only what makes event loops.
		"bench":           {},
		"bench/backend":   {"internal/eventloop", "internal/sock"},
		"bench/load":      {"bench", "bench/backend", "bench/usage", "internal/eventloop", "internal/sock"},
		"bench/usage":     {"bench"},
		"bench/subject":   {"bench"},
		"bench/stage":     {"bench", "bench/subject", "internal/testnet"},
		"bench/compare":   {"bench", "bench/stage", "bench/subject"},
		"bench/report":    {"bench"},
		"cmd/sluicebench": {"bench", "bench/backend", "bench/compare", "bench/load", "bench/report", "internal/testnet"},

		// Shows sluice as a user sees it: as a program.
		"demo":             {"internal/testnet"},
		"internal/testnet": {},
		"internal/lint":    {},
		"test":             {"internal/testnet"},
	}
}

func with(base []string, more ...string) []string {
	return append(append([]string(nil), base...), more...)
}

// forTests are packages that every test may import besides what its package
// may.
func forTests() []string {
	return []string{"config", "config/native", "configs", "internal/conformance", "internal/testnet"}
}

// fence is an import that only some packages may have, outside of tests.
type fence struct {
	imports string // a package path, or the beginning of some up to a slash
	by      []string
	why     string
}

// fences also lists every module that we depend on: a new one is a decision,
// made here and with a reason in docs/decisions when it is a big one.
func fences() []fence {
	return []fence{
		{"golang.org/x/sys", []string{"internal/sock", "internal/testnet"},
			"raw system calls have one home, internal/sock, where descriptors have one owner"},
		{"syscall", []string{"internal/sock", "internal/testnet"},
			"raw system calls have one home, internal/sock; elsewhere only the names of signals and of a child's credentials may be used"},
		{"unsafe", []string{"internal/sock"}, "only raw system calls need it"},
		{"net/http", []string{"admin", "internal/daemon", "internal/stats", "cmd/sluice", "demo", "bench/stage"},
			"HTTP is for admin and scrapes; sluice relays bytes and does not look at them"},
		{"os/exec", []string{"intercept/rules", "cmd/sluice", "internal/testnet", "demo", "bench/stage", "bench/subject", "cmd/sluicebench"},
			"the daemon starts no programs"},

		{"github.com/spf13/viper", []string{"config/native"}, "nothing behind config knows where it came from"},
		{"github.com/go-viper/mapstructure", []string{"config/native"}, "nothing behind config knows where it came from"},
		{"go.yaml.in/yaml", []string{"config/native"}, "nothing behind config knows where it came from"},
		{"github.com/spf13/cobra", []string{"cmd/sluice", "cmd/sluicebench"}, "commands are cmd's"},
		{"github.com/spf13/pflag", []string{"cmd/sluice"}, "flags are cmd's"},
		{"github.com/prometheus/procfs", []string{"bench/usage", "bench/compare"}, "it is for the load harness"},
		{"github.com/prometheus", []string{"internal/stats"}, "counting must not cost what a metrics library costs"},
		{"google.golang.org/protobuf", []string{"internal/stats", "healthcheck"}, "it comes with Prometheus's model, and reads one field of grpc.health.v1"},
		{"golang.org/x/net", []string{"healthcheck"}, "HPACK is for gRPC health checks; the daemon's sockets are internal/sock's"},
		{"github.com/fsnotify/fsnotify", []string{"internal/watch"}, "files are watched in one place"},
		{"github.com/gaissmai/bart", []string{"listener"}, "longest-prefix tables belong to the filter chain index"},
		{"github.com/miekg/dns", []string{"cluster/dns"}, "names become addresses in one place"},
		{"github.com/cespare/xxhash", []string{"cluster/balance"}, "it is for rings and tables that agree with Envoy's"},
		{"github.com/HdrHistogram/hdrhistogram-go", []string{"bench/load"}, "the daemon's histograms are internal/stats'"},
		{"github.com/schollz/progressbar", []string{"cmd/sluicebench"}, "only people look at progress"},
		{"golang.org/x/term", []string{"cmd/sluicebench"}, "only people look at progress"},
		{"go.uber.org/goleak", []string{"internal/testnet"}, "it is for tests"},
		{"go.uber.org/zap", []string{"admin", "cmd/sluice", "internal/accesslog", "internal/daemon", "listener", "proxy"},
			"other packages return errors and leave it to these whether to log them"},
	}
}

// onLoops are the packages whose code runs on event loops.
func onLoops() []string {
	return []string{"cluster/balance", "healthcheck", "internal/eventloop", "internal/sock", "listener", "proxy", "proxy/relay"}
}

// offLoops are imports that code on event loops must not have, outside of
// tests.
func offLoops() map[string]string {
	const goroutines = "nothing on a loop waits for goroutines; post to the loop instead"
	return map[string]string{
		"net":     "its sockets belong to the Go poller, which blocks goroutines; use internal/sock",
		"context": goroutines,
		"os":      "files block a loop",
	}
}
