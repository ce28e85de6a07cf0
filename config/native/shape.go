package native

import (
	"net/netip"
	"reflect"
	"time"

	"github.com/sluiceproxy/sluice/config"
)

// kind is what a YAML value has to look like.
type kind int

const (
	text     kind = iota // any string
	choice               // one of shape.allowed
	boolean              // true or false
	number               // a whole number from shape.min to shape.max
	duration             // 250ms, 5s
	size                 // 4096, 64KiB
	addrPort             // IP:port
	addr                 // an IP address, or "" for none
	prefix               // IP/bits
	hostPort             // IP:port or name:port
	decimal              // 1, 0.5
	list                 // a list of shape.elem
	mapping              // a mapping with shape.fields
)

// shape is the form of one value: the model's types, seen from YAML.
type shape struct {
	kind     kind
	typ      reflect.Type
	allowed  []string // choice
	min      int64    // number
	max      int64    // number
	elem     *shape   // list
	fields   []field  // mapping, in the model's order
	optional bool     // mapping behind a pointer: absent is nil
	single   bool     // list: a mapping may stand for a list of one
}

// field is one key of a mapping.
type field struct {
	key   string
	index int // of the model's struct field
	shape *shape
	note  note
}

func (s *shape) field(key string) *field {
	for i := range s.fields {
		if s.fields[i].key == key {
			return &s.fields[i]
		}
	}
	return nil
}

// modelShape is the shape of a whole configuration.
func modelShape() *shape { return shapeOf(reflect.TypeFor[config.Config]()) }

func shapeOf(t reflect.Type) *shape {
	switch t {
	case reflect.TypeFor[time.Duration]():
		return &shape{kind: duration, typ: t}
	case reflect.TypeFor[config.Size]():
		return &shape{kind: size, typ: t}
	case reflect.TypeFor[netip.AddrPort]():
		return &shape{kind: addrPort, typ: t}
	case reflect.TypeFor[netip.Addr]():
		return &shape{kind: addr, typ: t}
	case reflect.TypeFor[netip.Prefix]():
		return &shape{kind: prefix, typ: t}
	case reflect.TypeFor[config.HostPort]():
		return &shape{kind: hostPort, typ: t}
	}
	switch t.Kind() {
	case reflect.Pointer:
		s := shapeOf(t.Elem())
		s.optional = true
		return s
	case reflect.Slice:
		return &shape{kind: list, typ: t, elem: shapeOf(t.Elem()), single: t == reflect.TypeFor[[]config.RBAC]()}
	case reflect.Struct:
		return &shape{kind: mapping, typ: t, fields: fieldsOf(t)}
	case reflect.Bool:
		return &shape{kind: boolean, typ: t}
	case reflect.Float64:
		return &shape{kind: decimal, typ: t}
	case reflect.String:
		if allowed := choices(t); allowed != nil {
			return &shape{kind: choice, typ: t, allowed: allowed}
		}
		return &shape{kind: text, typ: t}
	}
	return numberShape(t)
}

// numberShape bounds a number by its Go type; a plain int counts something.
// Go has no integer between int64 and YAML's that the model would need.
func numberShape(t reflect.Type) *shape {
	s := &shape{kind: number, typ: t}
	switch t.Kind() {
	case reflect.Int:
		s.min, s.max = -1<<31, 1<<31-1
	case reflect.Uint16:
		s.max = 1<<16 - 1
	case reflect.Uint32:
		s.max = 1<<32 - 1
	default:
		panic("config model has a field of type " + t.String() + ": teach native.shapeOf")
	}
	return s
}

// fieldsOf leaves out what the model can say already and later still refuses.
func fieldsOf(t reflect.Type) []field {
	fields := make([]field, 0, t.NumField())
	for i := range t.NumField() {
		sf := t.Field(i)
		key := snake(sf.Name)
		if _, refused := later[t.Name()][key]; refused {
			continue
		}
		f := field{key: key, index: i, shape: shapeOf(sf.Type), note: notes[t.Name()+"."+sf.Name]}
		if f.note.allowed != nil {
			f.shape.kind, f.shape.allowed = choice, f.note.allowed
		}
		fields = append(fields, f)
	}
	return fields
}

// choices are the allowed values of the model's enumerated types.
func choices(t reflect.Type) []string {
	switch t {
	case reflect.TypeFor[config.LogEvent]():
		return words(config.LogEvents())
	case reflect.TypeFor[config.DrainStrategy]():
		return words(config.DrainStrategies())
	case reflect.TypeFor[config.Direction]():
		return words(config.Directions())
	case reflect.TypeFor[config.InterceptionMode]():
		return words(config.InterceptionModes())
	case reflect.TypeFor[config.SourceType]():
		return words(config.SourceTypes())
	case reflect.TypeFor[config.ListenerFilter]():
		return words(config.ListenerFilters())
	case reflect.TypeFor[config.ProxyProtocolVersion]():
		return words(config.ProxyProtocolVersions())
	case reflect.TypeFor[config.RBACAction]():
		return words(config.RBACActions())
	case reflect.TypeFor[config.TransportProtocol]():
		return append(words(config.TransportProtocols()), "")
	case reflect.TypeFor[config.ClusterType]():
		return words(config.ClusterTypes())
	case reflect.TypeFor[config.LBPolicy]():
		return words(config.LBPolicies())
	case reflect.TypeFor[config.HealthStatus]():
		return words(config.HealthStatuses())
	case reflect.TypeFor[config.LookupFamily]():
		return words(config.LookupFamilies())
	case reflect.TypeFor[config.OpenConnections]():
		return words(config.OpenConnectionsActions())
	case reflect.TypeFor[config.HealthCheckType]():
		return words(config.HealthCheckTypes())
	}
	return nil
}

func words[T ~string](values []T) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = string(v)
	}
	return out
}

// defaultOf is the default of a list item or of an optional mapping; parts of
// it (a listener's tcp_keepalive) come with it.
func defaultOf(t reflect.Type) (reflect.Value, bool) {
	switch t {
	case reflect.TypeFor[config.Config]():
		return reflect.ValueOf(config.Default()), true
	case reflect.TypeFor[config.AccessLog]():
		return reflect.ValueOf(config.DefaultAccessLog()), true
	case reflect.TypeFor[config.Listener]():
		return reflect.ValueOf(config.DefaultListener()), true
	case reflect.TypeFor[config.FilterChain]():
		return reflect.ValueOf(config.DefaultFilterChain()), true
	case reflect.TypeFor[config.RBAC]():
		return reflect.ValueOf(config.RBAC{}), true
	case reflect.TypeFor[config.RBACPolicy]():
		return reflect.ValueOf(config.RBACPolicy{}), true
	case reflect.TypeFor[config.ConnectionLimit]():
		return reflect.ValueOf(config.ConnectionLimit{}), true
	case reflect.TypeFor[config.LocalRateLimit]():
		return reflect.ValueOf(config.DefaultLocalRateLimit()), true
	case reflect.TypeFor[config.Cluster]():
		return reflect.ValueOf(config.DefaultCluster()), true
	case reflect.TypeFor[config.Endpoint]():
		return reflect.ValueOf(config.DefaultEndpoint()), true
	case reflect.TypeFor[config.HealthCheck]():
		return reflect.ValueOf(config.DefaultHealthCheck()), true
	case reflect.TypeFor[config.AppHealthPort]():
		return reflect.ValueOf(config.AppHealthPort{Check: config.DefaultAppHealthCheck()}), true
	case reflect.TypeFor[config.OutlierDetection]():
		return reflect.ValueOf(config.DefaultOutlierDetection()), true
	case reflect.TypeFor[config.HTTPHeader]():
		return reflect.ValueOf(config.HTTPHeader{}), true
	case reflect.TypeFor[config.WeightedCluster]():
		return reflect.ValueOf(config.WeightedCluster{}), true
	}
	return reflect.Value{}, false
}
