package stats

import "strings"

// Reporter is the side of the connection that this proxy stands on.
type Reporter string

// The reporters of Istio's metrics: inbound listeners report as the
// destination, all others as the source.
const (
	ReporterSource      Reporter = "source"
	ReporterDestination Reporter = "destination"
)

// Workload is what is known of the workload beside this proxy. Empty fields
// are exported as "unknown".
type Workload struct {
	Name, Namespace, App, Version       string
	Principal, Cluster                  string
	CanonicalService, CanonicalRevision string
}

// IstioLabels are what Istio's TCP metrics are told apart by.
type IstioLabels struct {
	Reporter Reporter
	Local    Workload
	Cluster  string // the upstream cluster, for example outbound|9080||ratings.default.svc.cluster.local
}

// Istio is what Istio's TCP dashboards read, for one chain and cluster.
// Registry.Istio builds it.
type Istio struct {
	Opened   Counter
	Sent     Counter // responses, as Istio counts them
	Received Counter // requests
	closed   [len(closedFlags)]Counter
}

// closedFlags are the sets of response flags that have a place of their own.
// The first is that of an ordinary end.
var closedFlags = [...]string{
	"-", "UH", "UF", "UF,URX", "UO", "URX", "NR", "NC", "DT", "SI", "DC", "UF,DC", "UF,DC,URX",
}

// Close counts the end of a connection. Flags are as accesslog.Flags prints
// them: "-", or short names with commas. A set that has no place of its own
// counts under its first flag.
func (i *Istio) Close(shard *Shard, flags string) {
	if at, ok := closedIndex(flags); ok {
		shard.Inc(i.closed[at])
		return
	}
	first, _, _ := strings.Cut(flags, ",")
	at, _ := closedIndex(first)
	shard.Inc(i.closed[at])
}

func closedIndex(flags string) (int, bool) {
	for i, known := range closedFlags {
		if flags == known {
			return i, true
		}
	}
	return 0, false
}

// Istio gives the places for connections with these labels: the same ones
// again for the same labels, as many filter chains of one cluster have.
func (r *Registry) Istio(labels IstioLabels) Istio {
	r.mu.Lock()
	defer r.mu.Unlock()
	if known, ok := r.istio[labels]; ok {
		return known
	}
	ordinary := &scope{naming: istioNaming(labels), registry: r}
	istio := Istio{
		Opened:   ordinary.counter("connections_opened_total", "Connections opened."),
		Sent:     ordinary.counter("sent_bytes_total", "Bytes sent in responses, to the source."),
		Received: ordinary.counter("received_bytes_total", "Bytes received in requests, from the source."),
	}
	const closed, help = "connections_closed_total", "Connections closed."
	istio.closed[0] = ordinary.counter(closed, help)
	rare := r.family(ordinary, family{stat: closed, help: help, kind: counterKind, rare: true})
	for i, flags := range closedFlags[1:] {
		made := &series{family: rare, scope: ordinary, flags: flags}
		r.append(made)
		istio.closed[i+1] = Counter(made.cell)
	}
	r.istio[labels] = istio
	return istio
}

// istioNaming spells out the labels of Istio's standard TCP metrics
// (https://istio.io/latest/docs/reference/config/metrics/). The flags are those
// of an ordinary end.
func istioNaming(l IstioLabels) naming {
	var none Workload
	source, destination, policy := l.Local, none, "unknown"
	if l.Reporter == ReporterDestination {
		// Istio's source side never knows whether the other end demanded TLS;
		// its destination side does, and a plain relay has none.
		source, destination, policy = none, l.Local, "none"
	}
	service := serviceOf(l.Cluster, destination)
	n := naming{prefix: "istio_tcp_"}
	n.label("reporter", string(l.Reporter))
	n.workload("source", source)
	n.workload("destination", destination)
	n.label("destination_service", service.host)
	n.label("destination_service_name", service.name)
	n.label("destination_service_namespace", service.namespace)
	n.label("request_protocol", "tcp")
	n.label(flagsLabel, closedFlags[0])
	n.label("connection_security_policy", policy)
	return n
}

func (n *naming) workload(side string, w Workload) {
	n.label(side+"_workload", w.Name)
	n.label(side+"_workload_namespace", w.Namespace)
	n.label(side+"_principal", w.Principal)
	n.label(side+"_app", w.App)
	n.label(side+"_version", w.Version)
	n.label(side+"_cluster", w.Cluster)
	n.label(side+"_canonical_service", w.CanonicalService)
	n.label(side+"_canonical_revision", w.CanonicalRevision)
}

func (n *naming) label(name, value string) {
	if value == "" {
		value = "unknown"
	}
	n.labels, n.values = append(n.labels, name), append(n.values, clean(value))
}

// service is a destination as Istio's labels name it.
type service struct{ host, name, namespace string }

// serviceOf reads Istio's cluster names: direction|port|subset|host. A name in
// another form, PassthroughCluster among them, is itself the service's name.
// Inbound clusters have no host; their service is the workload's own.
func serviceOf(cluster string, local Workload) service {
	parts := strings.Split(cluster, "|")
	if len(parts) != 4 {
		return service{name: cluster}
	}
	host := parts[3]
	if host == "" {
		return service{name: local.CanonicalService, namespace: local.Namespace}
	}
	labels := strings.Split(host, ".")
	if len(labels) > 2 && labels[2] == "svc" {
		return service{host: host, name: labels[0], namespace: labels[1]}
	}
	return service{host: host, name: host}
}
