package native

import (
	"strings"
)

// Override is a key that a flag or an environment variable can set over the
// file.
type Override struct {
	Key       string // of the configuration
	Flag      string // name of the flag of sluice run, without dashes
	Shorthand string // one letter, or empty
	Env       string
	Doc       string
}

// Overrides lists what can be overridden, for the command that registers the
// flags.
func Overrides() []Override {
	return []Override{
		{Key: "concurrency", Flag: "concurrency", Env: "SLUICE_CONCURRENCY", Doc: "number of event loops (0: one for each usable core)"},
		{Key: "log.level", Flag: "log-level", Shorthand: "l", Env: "SLUICE_LOG_LEVEL", Doc: "least severe level that is logged: debug, info, warn or error"},
		{Key: "log.format", Flag: "log-format", Env: "SLUICE_LOG_FORMAT", Doc: "log format: json or console"},
		{Key: "admin.address", Flag: "admin-address", Env: "SLUICE_ADMIN_ADDRESS", Doc: "admin API: host:port or unix:///path"},
		{Key: "drain.time", Flag: "drain-time", Env: "SLUICE_DRAIN_TIME", Doc: "longest time that a drain takes"},
		{Key: "node.id", Flag: "node-id", Env: "SLUICE_NODE_ID", Doc: "name of this process"},
		{Key: "node.cluster", Flag: "node-cluster", Env: "SLUICE_NODE_CLUSTER", Doc: "name of the workload this process belongs to"},
	}
}

// setting is one override that is in force.
type setting struct {
	key    string
	value  any
	source string // for messages: --log-level or SLUICE_LOG_LEVEL
}

// settings collects the overrides of opts; of a flag and a variable for one
// key the flag wins. An empty variable counts as not set.
func settings(opts Options) ([]setting, []Problem) {
	environ := make(map[string]string, len(opts.Environ))
	for _, variable := range opts.Environ {
		if name, value, ok := strings.Cut(variable, "="); ok && value != "" {
			environ[name] = value
		}
	}
	var found []setting
	var problems []Problem
	for _, o := range Overrides() {
		text, given := opts.Flags[o.Flag]
		source := "--" + o.Flag
		if !given {
			text, given = environ[o.Env]
			source = o.Env
		}
		if !given {
			continue
		}
		value, err := parseText(shapeAt(o.Key), text)
		if err != nil {
			problems = append(problems, Problem{File: source, Path: o.Key, Message: err.Error()})
			continue
		}
		found = append(found, setting{key: o.Key, value: value, source: source})
	}
	return found, problems
}

// shapeAt finds the shape of a key path without list items.
func shapeAt(path string) *shape {
	s := modelShape()
	for _, key := range strings.Split(path, ".") {
		s = s.field(key).shape
	}
	return s
}
