package stats

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Scrapes that take longer than scrapeTimeout get 503, and more than
// scrapesAtOnce at a time too: a scrape costs each loop a copy of its values.
const (
	scrapeTimeout = 10 * time.Second
	scrapesAtOnce = 8
)

// Exporter serves a collector's values over HTTP, with those of the Go runtime
// and of the process (go_…, process_…).
type Exporter struct {
	collector  *Collector
	prometheus http.Handler
}

// NewExporter makes an exporter. It fails only if a collector's names clash.
func NewExporter(collector *Collector) (*Exporter, error) {
	registry := prometheus.NewRegistry()
	for _, c := range []prometheus.Collector{
		collector,
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	} {
		if err := registry.Register(c); err != nil {
			return nil, fmt.Errorf("stats: register collector: %w", err)
		}
	}
	return &Exporter{collector: collector, prometheus: promHandler(registry)}, nil
}

// promHandler answers in Prometheus's text format only. OpenMetrics is not
// offered, although Prometheus prefers it: there a counter must end in _total,
// so that many of Envoy's would be of unknown type, and bounds are printed as
// le="1.0" where Envoy has le="1". Nothing of what it adds is used here.
func promHandler(gatherer prometheus.Gatherer) http.Handler {
	return promhttp.HandlerFor(gatherer, promhttp.HandlerOpts{
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: scrapesAtOnce,
		Timeout:             scrapeTimeout,
	})
}

// Prometheus is the handler of /stats/prometheus. Like Envoy's it takes
// ?usedonly and ?filter=REGEX, which then leave out go_… and process_….
func (e *Exporter) Prometheus() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		only, err := parseSelection(req.URL.Query())
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if only == (selection{}) {
			e.prometheus.ServeHTTP(w, req)
			return
		}
		registry := prometheus.NewRegistry()
		registry.MustRegister(e.collector.selecting(only))
		promHandler(registry).ServeHTTP(w, req)
	})
}

func (c *Collector) selecting(only selection) *Collector {
	selected := *c
	selected.only = only
	return &selected
}

// Stats is the handler of /stats. It takes Envoy's ?format=text|json|prometheus,
// ?filter=REGEX, ?usedonly, ?type=Counters|Gauges|Histograms|All and
// ?histogram_buckets=none|cumulative|disjoint.
func (e *Exporter) Stats() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		query := req.URL.Query()
		if query.Get("format") == "prometheus" {
			e.Prometheus().ServeHTTP(w, req)
			return
		}
		if err := e.writeStats(w, query); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
	})
}

func (e *Exporter) writeStats(w http.ResponseWriter, query url.Values) error {
	only, err := parseSelection(query)
	if err != nil {
		return err
	}
	mode, err := parseBuckets(query)
	if err != nil {
		return err
	}
	types, err := parseTypes(query)
	if err != nil {
		return err
	}
	write, contentType := writeText, "text/plain; charset=UTF-8"
	switch format := query.Get("format"); format {
	case "", "text":
	case "json":
		write, contentType = writeJSON, "application/json"
	default:
		return fmt.Errorf("usage: /stats?format=(json|prometheus|text), not %q", format)
	}
	readings := e.collector.selecting(only).read()
	if types != nil {
		readings = ofKinds(readings, types)
	}
	var body bytes.Buffer
	if err := write(&body, readings, mode); err != nil {
		return err
	}
	w.Header().Set("Content-Type", contentType)
	// A client that went away is no error of ours.
	_, _ = body.WriteTo(w)
	return nil
}

func parseSelection(query url.Values) (selection, error) {
	only := selection{used: query.Has("usedonly")}
	if !query.Has("filter") {
		return only, nil
	}
	filter, err := regexp.Compile(query.Get("filter"))
	if err != nil {
		return selection{}, fmt.Errorf("invalid filter, want a regular expression: %w", err)
	}
	only.filter = filter
	return only, nil
}

func parseBuckets(query url.Values) (bucketsMode, error) {
	switch mode := query.Get("histogram_buckets"); mode {
	case "", "none":
		return noBuckets, nil
	case "cumulative":
		return cumulativeBuckets, nil
	case "disjoint":
		return disjointBuckets, nil
	default:
		return 0, fmt.Errorf("usage: /stats?histogram_buckets=(none|cumulative|disjoint), not %q", mode)
	}
}

// parseTypes reads ?type=; nil is all.
func parseTypes(query url.Values) ([]kind, error) {
	switch name := query.Get("type"); name {
	case "", "All":
		return nil, nil
	case "Counters":
		return []kind{counterKind, nanosKind}, nil
	case "Gauges":
		return []kind{gaugeKind}, nil
	case "Histograms":
		return []kind{histogramKind}, nil
	case "TextReadouts": // there are none
		return []kind{}, nil
	default:
		return nil, fmt.Errorf("invalid &type= param, want All, Counters, Gauges, Histograms or TextReadouts, not %q", name)
	}
}

func ofKinds(readings []reading, kinds []kind) []reading {
	var kept []reading
	for _, r := range readings {
		for _, k := range kinds {
			if r.family.kind == k {
				kept = append(kept, r)
			}
		}
	}
	return kept
}
