// Package lint holds the tests about the repository itself: which package may
// import what, how long files and functions may be, what tests must not do,
// and that the pages tell the truth about files, commands and targets.
//
//	go test ./internal/lint
//
// It reads sources with go/parser, so it needs no network and no build. A rule
// that stands in the way of good code is changed here, with its reason, and
// not circumvented.
package lint
