package config

import (
	"fmt"
	"strings"
	"time"
	"unicode"
)

// Validate finds everything that a typed model can have wrong: missing and
// doubled names, references to clusters that are not there, values out of
// range, combinations that cannot work. It changes nothing; call Normalize
// first. Filter chains that match the same connections are found by the
// listener package when it builds its index, not here.
func Validate(cfg *Config) Problems {
	v := &validator{clusters: make(map[string]*Cluster, len(cfg.Clusters))}
	for i := range cfg.Clusters {
		v.clusters[cfg.Clusters[i].Name] = &cfg.Clusters[i]
	}
	v.process(cfg)
	v.accessLogs("access_log", cfg.AccessLog)
	v.listeners(cfg.Listeners)
	v.ports(cfg)
	v.clusterList(cfg.Clusters)
	v.appHealth(cfg)
	return v.problems
}

// validator collects problems while the model is walked.
type validator struct {
	problems Problems
	clusters map[string]*Cluster // by name
}

func (v *validator) add(path, format string, args ...any) {
	v.problems = append(v.problems, Problem{Path: path, Message: fmt.Sprintf(format, args...)})
}

// name checks one name of a kind that must be unique; seen maps the names so
// far to their paths.
func (v *validator) name(path, name string, seen map[string]string) {
	if name == "" {
		v.add(path, "is required")
		return
	}
	if strings.ContainsFunc(name, unicode.IsControl) {
		v.add(path, "must not contain control characters (%q does)", name)
	}
	if first, ok := seen[name]; ok {
		v.add(path, "%q is already the name of %s: names must be unique", name, first)
		return
	}
	seen[name] = strings.TrimSuffix(path, ".name")
}

// oneOf checks an enumerated value.
func oneOf[T ~string](v *validator, path string, value T, allowed []T) {
	for _, a := range allowed {
		if value == a {
			return
		}
	}
	words := make([]string, len(allowed))
	for i, a := range allowed {
		words[i] = string(a)
	}
	if len(words) == 1 {
		v.add(path, "must be %s, not %q", words[0], value)
		return
	}
	v.add(path, "must be one of %s, not %q", strings.Join(words, ", "), value)
}

// notNegative checks a duration for which 0 has a meaning of its own.
func (v *validator) notNegative(path string, d time.Duration) {
	if d < 0 {
		v.add(path, "must not be negative (%v is)", d)
	}
}

func (v *validator) limit(path string, n int) {
	if n < 0 {
		v.add(path, "must be 0 (unlimited) or more, not %d", n)
	}
}

// The kernel's bounds, tcp(7) and include/net/tcp.h: MAX_TCP_KEEPIDLE,
// MAX_TCP_KEEPINTVL and MAX_TCP_KEEPCNT.
const (
	maxKeepaliveTime   = 32767 * time.Second
	maxKeepaliveProbes = 127
)

func (v *validator) keepalive(path string, k Keepalive) {
	if k.Idle < 0 || k.Idle > maxKeepaliveTime {
		v.add(path+".idle", "must be from 0s (off) to %v, not %v", maxKeepaliveTime, k.Idle)
	}
	if k.Idle == 0 {
		return
	}
	if k.Interval <= 0 || k.Interval > maxKeepaliveTime {
		v.add(path+".interval", "must be more than 0s and at most %v, not %v", maxKeepaliveTime, k.Interval)
	}
	if k.Probes < 1 || k.Probes > maxKeepaliveProbes {
		v.add(path+".probes", "must be from 1 to %d, not %d", maxKeepaliveProbes, k.Probes)
	}
}
