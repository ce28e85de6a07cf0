package admin

import (
	"fmt"
	"net/http"
	"runtime/metrics"
	"strconv"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// ready answers probes (Envoy's ServerInfoHandler::handlerReady).
func (a *api) ready(w http.ResponseWriter, _ *http.Request) {
	state := a.State()
	w.Header().Set("Content-Type", "text/plain; charset=UTF-8")
	if state != Live {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	fmt.Fprintf(w, "%s\n", state)
}

type jsonServerInfo struct {
	Version            string         `json:"version"`
	State              State          `json:"state"`
	HotRestartVersion  string         `json:"hot_restart_version"`
	CommandLineOptions map[string]any `json:"command_line_options"`
	UptimeCurrentEpoch string         `json:"uptime_current_epoch"`
	UptimeAllEpochs    string         `json:"uptime_all_epochs"`
	Node               jsonNode       `json:"node"`
}

type jsonNode struct {
	ID            string `json:"id"`
	Cluster       string `json:"cluster"`
	UserAgentName string `json:"user_agent_name"`
}

func (a *api) serverInfo(w http.ResponseWriter, _ *http.Request) {
	info := a.Server()
	since := func(start time.Time) string { return fmt.Sprintf("%ds", int64(time.Since(start).Seconds())) }
	options := info.Options
	if options == nil {
		options = map[string]any{}
	}
	writeJSON(w, jsonServerInfo{
		Version: info.Version, State: a.State(), HotRestartVersion: "disabled", CommandLineOptions: options,
		UptimeCurrentEpoch: since(info.Start), UptimeAllEpochs: since(info.FirstStart),
		Node: jsonNode{ID: info.NodeID, Cluster: info.NodeCluster, UserAgentName: "sluice"},
	})
}

// levels are Envoy's names for levels, and ours. What is finer than debug or
// coarser than error is the nearest that zap has.
var levels = []struct {
	name  string
	level zapcore.Level
}{
	{"trace", zap.DebugLevel}, {"debug", zap.DebugLevel}, {"info", zap.InfoLevel}, {"warning", zap.WarnLevel},
	{"warn", zap.WarnLevel}, {"error", zap.ErrorLevel}, {"critical", zap.DPanicLevel}, {"off", zap.FatalLevel},
}

// logging shows or changes the log level (Envoy's LogsHandler; there is one
// logger here).
func (a *api) logging(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	w.Header().Set("Content-Type", "text/plain; charset=UTF-8")
	if len(query) > 0 {
		if err := a.setLevel(query.Get("level"), len(query)); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(w, "error: %v\n\nusage: /logging?level=<level>\nlevels:", err)
			for _, known := range levels {
				fmt.Fprintf(w, " %s", known.name)
			}
			fmt.Fprint(w, "\n")
		}
	}
	fmt.Fprintf(w, "active loggers:\n  sluice: %s\n\n", levelName(a.Level.Level()))
}

func (a *api) setLevel(name string, parameters int) error {
	if parameters != 1 {
		return fmt.Errorf("invalid number of parameters")
	}
	for _, known := range levels {
		if known.name == name {
			a.Log.Info("log level changed", zap.String("level", name))
			a.Level.SetLevel(known.level)
			return nil
		}
	}
	return fmt.Errorf("unknown logger level %q", safeText(name))
}

func levelName(level zapcore.Level) string {
	for _, known := range levels {
		if known.level == level && known.name != "trace" {
			return known.name
		}
	}
	return level.String()
}

// reload answers when it is done: 200, or 400 with every problem of the
// configuration, one a line; then nothing has changed.
func (a *api) reload(w http.ResponseWriter, r *http.Request) {
	a.Log.Info("asked to reload by the admin API", zap.String("client", r.RemoteAddr))
	report, err := a.Reload()
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	writeText(w, report+"\n")
}

// failReadiness and passReadiness are Envoy's handlerHealthcheckFail and
// handlerHealthcheckOk.
func (a *api) failReadiness(w http.ResponseWriter, r *http.Request) {
	a.Log.Info("readiness is to fail, asked by the admin API", zap.String("client", r.RemoteAddr))
	a.FailReadiness(true)
	writeText(w, "OK\n")
}

func (a *api) passReadiness(w http.ResponseWriter, r *http.Request) {
	a.Log.Info("readiness is to tell the truth again, asked by the admin API", zap.String("client", r.RemoteAddr))
	a.FailReadiness(false)
	writeText(w, "OK\n")
}

// drainListeners is Envoy's handlerDrainListeners.
func (a *api) drainListeners(w http.ResponseWriter, r *http.Request) {
	a.Log.Info("asked to drain listeners by the admin API", zap.String("client", r.RemoteAddr))
	query := r.URL.Query()
	a.DrainListeners(Drain{Graceful: query.Has("graceful"), InboundOnly: query.Has("inboundonly")})
	writeText(w, "OK\n")
}

// quit answers first: afterwards nobody may be there to do it.
func (a *api) quit(w http.ResponseWriter, r *http.Request) {
	a.Log.Info("asked to stop by the admin API", zap.String("client", r.RemoteAddr))
	writeText(w, "OK\n")
	_ = http.NewResponseController(w).Flush()
	a.Quit()
}

// jsonMemory is Envoy's admin.v3.Memory; 64-bit numbers are strings in the
// JSON of protocol buffers.
type jsonMemory struct {
	Allocated          string `json:"allocated"`
	HeapSize           string `json:"heap_size"`
	PageheapUnmapped   string `json:"pageheap_unmapped"`
	PageheapFree       string `json:"pageheap_free"`
	TotalThreadCache   string `json:"total_thread_cache"`
	TotalPhysicalBytes string `json:"total_physical_bytes"`
}

func memory(w http.ResponseWriter, _ *http.Request) {
	names := []string{
		"/memory/classes/heap/objects:bytes", "/memory/classes/heap/unused:bytes", "/memory/classes/heap/free:bytes",
		"/memory/classes/heap/released:bytes", "/memory/classes/metadata/mcache/inuse:bytes", "/memory/classes/total:bytes",
	}
	samples := make([]metrics.Sample, len(names))
	for i, name := range names {
		samples[i].Name = name
	}
	metrics.Read(samples)
	value := func(i int) uint64 { return samples[i].Value.Uint64() }
	text := func(n uint64) string { return strconv.FormatUint(n, 10) }
	writeJSON(w, jsonMemory{
		Allocated: text(value(0)), HeapSize: text(value(0) + value(1) + value(2)), PageheapUnmapped: text(value(3)),
		PageheapFree: text(value(2)), TotalThreadCache: text(value(4)), TotalPhysicalBytes: text(value(5) - value(3)),
	})
}
