package admin

import (
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"strings"

	"go.uber.org/zap"
)

// api is the admin API.
type api struct {
	Options
	routes []route
}

// route is one path. Paths that change something take POST only, all others
// GET and HEAD.
type route struct {
	path    string
	changes bool
	help    string
	serve   http.HandlerFunc
}

// New makes the admin server.
func New(options Options) *Server {
	a := &api{Options: options}
	a.routes = a.allRoutes()
	mux := http.NewServeMux()
	for _, r := range a.routes {
		pattern := r.path
		if pattern == "/" {
			pattern = "/{$}"
		}
		mux.Handle(pattern, r.onlyItsMethods())
	}
	mux.HandleFunc("/", a.unknownPath)
	return newServer(options.Address, "admin.address", options.Log, newGuard(options.Address, options.Log, recovering(options.Log, mux)))
}

func (a *api) allRoutes() []route {
	return []route{
		{"/", false, "admin home page", a.index},
		{"/certs", false, "certificates (not supported yet)", notYet},
		{"/clusters", false, "clusters and their endpoints; ?format=json", a.clusters},
		{"/config_dump", false, "the configuration that runs, as JSON", a.configDump},
		{"/connections", false, "live connections; ?cluster=NAME&limit=N&format=json", a.connections},
		{profilesPath, false, "profiles of the process, for go tool pprof", profiles},
		{"/drain_listeners", true, "stop accepting; ?graceful waits for drain.min_time, ?inboundonly leaves outbound listeners alone", a.drainListeners},
		{"/healthcheck/fail", true, "fail readiness checks until /healthcheck/ok", a.failReadiness},
		{"/healthcheck/ok", true, "pass readiness checks again", a.passReadiness},
		{"/help", false, "this list as text", a.help},
		{"/listeners", false, "listeners and their addresses; ?format=json", a.listeners},
		{"/logging", true, "show the log level; ?level=debug|info|warning|error changes it", a.logging},
		{"/memory", false, "memory, as JSON", memory},
		{"/quitquitquit", true, "exit at once, without a drain", a.quit},
		{"/ready", false, "LIVE and 200 when ready, else the state and 503", a.ready},
		{"/reload", true, "reload the configuration, as SIGHUP does", a.reload},
		{"/server_info", false, "version, state, uptime and node, as JSON", a.serverInfo},
		{"/stats", false, "statistics; ?filter=REGEX&usedonly&type=…&histogram_buckets=…&format=text|json|prometheus", a.Stats.ServeHTTP},
		{"/stats/prometheus", false, "statistics for Prometheus; ?filter=REGEX&usedonly", a.Prometheus.ServeHTTP},
	}
}

// onlyItsMethods refuses other methods with 405 and says which are allowed.
func (r route) onlyItsMethods() http.Handler {
	allowed := []string{http.MethodGet, http.MethodHead}
	if r.changes {
		allowed = []string{http.MethodPost}
	}
	return allowMethods(allowed, r.serve)
}

func allowMethods(allowed []string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Cache-Control", "no-cache, max-age=0")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		for _, method := range allowed {
			if req.Method == method {
				next.ServeHTTP(w, req)
				return
			}
		}
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		http.Error(w, fmt.Sprintf("%s takes %s, not %s", req.URL.Path, strings.Join(allowed, " or "), safeText(req.Method)), http.StatusMethodNotAllowed)
	})
}

// recovering turns a panic of one request into a 500 and a line in the log.
func recovering(log *zap.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			cause := recover()
			if cause == http.ErrAbortHandler {
				panic(cause)
			}
			if cause != nil {
				log.Error("panic while serving an admin request", zap.String("path", r.URL.Path), zap.Any("panic", cause), zap.Stack("stack"))
				http.Error(w, "internal error; see the log", http.StatusInternalServerError)
			}
		}()
		next.ServeHTTP(w, r)
	})
}

func (a *api) unknownPath(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=UTF-8")
	w.WriteHeader(http.StatusNotFound)
	fmt.Fprintf(w, "invalid path. admin commands are:\n%s", a.list())
}

func (a *api) help(w http.ResponseWriter, _ *http.Request) {
	writeText(w, "admin commands are:\n"+a.list())
}

func (a *api) list() string {
	var b strings.Builder
	for _, r := range a.routes {
		method := ""
		if r.changes {
			method = " (POST)"
		}
		fmt.Fprintf(&b, "  %s%s: %s\n", r.path, method, r.help)
	}
	return b.String()
}

func (a *api) index(w http.ResponseWriter, _ *http.Request) {
	var b strings.Builder
	b.WriteString("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>sluice admin</title></head><body><h1>sluice admin</h1><table>\n")
	for _, r := range a.routes {
		name := html.EscapeString(r.path)
		if r.changes {
			name += " (POST)"
		} else {
			name = `<a href="` + name + `">` + name + `</a>`
		}
		fmt.Fprintf(&b, "<tr><td>%s</td><td>%s</td></tr>\n", name, html.EscapeString(r.help))
	}
	b.WriteString("</table></body></html>\n")
	w.Header().Set("Content-Type", "text/html; charset=UTF-8")
	// A client that went away is no error of ours; the same holds below.
	_, _ = w.Write([]byte(b.String()))
}

func notYet(w http.ResponseWriter, r *http.Request) {
	http.Error(w, r.URL.Path+" is not supported yet", http.StatusNotImplemented)
}

func writeText(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=UTF-8")
	_, _ = w.Write([]byte(text))
}

func writeJSON(w http.ResponseWriter, value any) {
	body, err := json.MarshalIndent(value, "", " ")
	if err != nil {
		http.Error(w, fmt.Sprintf("make JSON: %v", err), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(body, '\n'))
}

// wantsJSON reads ?format=. It answers requests for other formats itself, and
// then ok is false.
func wantsJSON(w http.ResponseWriter, r *http.Request) (asJSON, ok bool) {
	switch format := r.URL.Query().Get("format"); format {
	case "", "text":
		return false, true
	case "json":
		return true, true
	default:
		http.Error(w, "usage: "+r.URL.Path+"?format=(text|json), not "+safeText(format), http.StatusBadRequest)
		return false, false
	}
}
