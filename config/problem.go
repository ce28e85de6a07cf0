package config

import "strings"

// Problem is one thing wrong with a configuration. Path is the key path as
// the user wrote it, for example listeners[0].filter_chains[2].match; front
// doors that know lines look the path up to add file and line.
type Problem struct {
	Path    string
	Message string // what is wrong and what is allowed
}

// Problems is every thing wrong with a configuration, as one error.
type Problems []Problem

// Error lists the problems, one a line.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, problem := range p {
		lines[i] = problem.Path + ": " + problem.Message
	}
	return strings.Join(lines, "\n")
}
