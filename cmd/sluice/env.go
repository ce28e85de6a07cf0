package main

import (
	"io"

	"github.com/sluiceproxy/sluice/config"
)

// env is everything a command has of its surroundings, so that commands are
// tested in-process.
type env struct {
	stdout, stderr io.Writer
	stdin          io.Reader
	getenv         func(string) string
	environ        func() []string

	// prepare finds problems that only the daemon's own tables show, such as
	// filter chains with the same match. Nil: validate checks without it.
	prepare func(*config.Config) config.Problems

	// warnings tells what is allowed and hardly meant. Nil: validate tells none.
	warnings func(*config.Config) []string
}

// Exit codes of sluice.
const (
	exitFailure = 1 // configuration or runtime error
	exitUsage   = 2 // wrong usage
)

// exitError ends the process with a code. A nil err means that the command
// has already printed what there is to say.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }
