package admin

import (
	"fmt"
	"net/http"

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
}

// NewReadinessServer makes the server of port 15021: /healthz/ready answers
// 200, or 503 with the reason.
func NewReadinessServer(options ReadinessOptions) *Server {
	probe := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		reason, ready := options.Ready()
		w.Header().Set("Content-Type", "text/plain; charset=UTF-8")
		if ready {
			fmt.Fprintln(w, "ready")
			return
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintf(w, "not ready: %s\n", reason)
	})
	return newServer(options.Address, "readiness.address", options.Log, readOnly(options.Log, "/healthz/ready", probe))
}

func readOnly(log *zap.Logger, path string, handler http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle(path, allowMethods([]string{http.MethodGet, http.MethodHead}, handler))
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "there is only "+path+" here", http.StatusNotFound)
	})
	return recovering(log, mux)
}
