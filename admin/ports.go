package admin

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"go.uber.org/zap"
)

// MetricsOptions are those of the read-only port for Prometheus.
type MetricsOptions struct {
	Address    string // host:port
	Prometheus http.Handler
	Log        *zap.Logger
}

// NewMetricsServer makes the server of port 15090: /stats/prometheus, and
// nothing that changes anything, for anybody who can reach it.
func NewMetricsServer(options MetricsOptions) *Server {
	return newServer(options.Address, "metrics.address", options.Log, readOnly(options.Log, "/stats/prometheus", options.Prometheus))
}

// ReadinessOptions are those of the port for probes.
type ReadinessOptions struct {
	Address string                             // host:port
	Ready   func() (reason string, ready bool) // the reason is shown when it is not ready
	Log     *zap.Logger

	// App tells whether the application behind this sidecar serves a port; nil:
	// nobody knows.
	App func(port uint16) (ok bool, reason string, known bool)
}

// NewReadinessServer makes the server of port 15021. /healthz/ready answers 200,
// or 503 with the reason; /app-health/PORT the same for the application, and 404
// where nobody checks that port.
func NewReadinessServer(options ReadinessOptions) *Server {
	paths := map[string]http.Handler{"/healthz/ready": readyProbe(&options)}
	if options.App != nil {
		paths["/app-health/{port}"] = appProbe(&options)
	}
	return newServer(options.Address, "readiness.address", options.Log, readOnlyPaths(options.Log, paths))
}

func readyProbe(options *ReadinessOptions) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		reason, ready := options.Ready()
		w.Header().Set("Content-Type", "text/plain; charset=UTF-8")
		if ready {
			fmt.Fprintln(w, "ready")
			return
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintf(w, "not ready: %s\n", reason)
	})
}

func appProbe(options *ReadinessOptions) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		port, err := strconv.ParseUint(r.PathValue("port"), 10, 16)
		ok, reason, known := false, "", false
		if err == nil {
			ok, reason, known = options.App(uint16(port))
		}
		w.Header().Set("Content-Type", "text/plain; charset=UTF-8")
		switch {
		case !known:
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprintf(w, "port %s is not checked here: list it in app_health.ports\n", printable(r.PathValue("port")))
		case !ok:
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprintf(w, "unhealthy: %s\n", reason)
		default:
			fmt.Fprintln(w, "healthy")
		}
	})
}

// printable is text of a client in one short line.
func printable(text string) string {
	const longest = 40
	quoted := strconv.QuoteToASCII(text)
	if len(quoted) > longest {
		quoted = quoted[:longest] + "…"
	}
	return quoted
}

func readOnly(log *zap.Logger, path string, handler http.Handler) http.Handler {
	return readOnlyPaths(log, map[string]http.Handler{path: handler})
}

func readOnlyPaths(log *zap.Logger, paths map[string]http.Handler) http.Handler {
	mux := http.NewServeMux()
	for path, handler := range paths {
		mux.Handle(path, allowMethods([]string{http.MethodGet, http.MethodHead}, handler))
	}
	there := strings.Join(slices.Sorted(maps.Keys(paths)), " and ")
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "there is only "+there+" here", http.StatusNotFound)
	})
	return recovering(log, mux)
}
