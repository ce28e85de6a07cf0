package config

import (
	"fmt"
	"net"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxConcurrency is far above any machine's cores; more is a slip of the pen.
const maxConcurrency = 1024

// unixScheme marks an admin address that is a unix socket.
const unixScheme = "unix://"

func (v *validator) process(cfg *Config) {
	if cfg.Concurrency < 0 || cfg.Concurrency > maxConcurrency {
		v.add("concurrency", "must be from 0 (one event loop for each usable core) to %d, not %d", maxConcurrency, cfg.Concurrency)
	}
	oneOf(v, "log.level", cfg.Log.Level, LogLevels())
	oneOf(v, "log.format", cfg.Log.Format, LogFormats())
	v.limit("limits.max_connections", cfg.Limits.MaxConnections)
	v.limit("limits.max_connections_per_source", cfg.Limits.MaxConnectionsPerSource)
	v.limit("limits.max_pending_inspections", cfg.Limits.MaxPendingInspections)
	v.drain(cfg.Drain)
	if unix, ok := strings.CutPrefix(cfg.Admin.Address, unixScheme); ok {
		if !path.IsAbs(unix) {
			v.add("admin.address", "must have an absolute path after unix://, as in unix:///run/sluice/admin.sock, not %q", cfg.Admin.Address)
		}
	} else if err := checkHostPort(cfg.Admin.Address); err != nil {
		v.add("admin.address", "must be host:port or unix:///path: %v", err)
	}
	v.optionalHostPort("metrics.address", cfg.Metrics.Address)
	v.optionalHostPort("readiness.address", cfg.Readiness.Address)
}

func (v *validator) drain(d Drain) {
	v.notNegative("drain.time", d.Time)
	v.notNegative("drain.min_time", d.MinTime)
	if d.MinTime > d.Time && d.Time >= 0 {
		v.add("drain.min_time", "must not be longer than drain.time (%v is longer than %v)", d.MinTime, d.Time)
	}
	oneOf(v, "drain.strategy", d.Strategy, DrainStrategies())
}

func (v *validator) optionalHostPort(path, address string) {
	if address == "" {
		return
	}
	if err := checkHostPort(address); err != nil {
		v.add(path, `must be host:port, or "" to turn it off: %v`, err)
	}
}

// checkHostPort accepts an IP address, a host name or nothing (all addresses)
// before the port.
func checkHostPort(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%q has no port", address)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("port %q is not from 1 to 65535", port)
	}
	if host == "" {
		return nil
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return nil
	}
	if !isHostName(host) {
		return fmt.Errorf("%q is neither an IP address nor a host name", host)
	}
	return nil
}

// isHostName follows RFC 1123 section 2.1; a name whose last label is a
// number would be a mistyped IPv4 address.
func isHostName(host string) bool {
	labels := strings.Split(host, ".")
	for _, label := range labels {
		if label == "" || strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-") {
			return false
		}
		for _, r := range label {
			if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-", r) {
				return false
			}
		}
	}
	_, err := strconv.Atoi(labels[len(labels)-1])
	return err != nil
}

func (v *validator) accessLogs(path string, logs []AccessLog) {
	for i, log := range logs {
		at := fmt.Sprintf("%s[%d]", path, i)
		if log.Path == "" {
			v.add(at+".path", "is required: a file, /dev/stdout or /dev/stderr")
		}
		if log.Format != "json" && log.Format != "text" && !strings.Contains(log.Format, "%") {
			v.add(at+".format", "must be json, text or a line with %%OPERATORS%%, not %q", log.Format)
		}
		if len(log.LogOn) == 0 {
			v.add(at+".log_on", "must name at least one of start, connected, end")
		}
		for j, event := range log.LogOn {
			oneOf(v, fmt.Sprintf("%s.log_on[%d]", at, j), event, LogEvents())
			if slices.Contains(log.LogOn[:j], event) {
				v.add(fmt.Sprintf("%s.log_on[%d]", at, j), "%q is there twice", event)
			}
		}
		if log.FlushInterval < time.Millisecond {
			v.add(at+".flush_interval", "must be at least 1ms, not %v", log.FlushInterval)
		}
	}
}
