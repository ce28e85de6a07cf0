package main

import (
	"io"
	"os"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// bar is a progress bar on a terminal, and nothing anywhere else.
type bar struct {
	progress *progressbar.ProgressBar // nil: nobody looks
}

func newBar(out io.Writer, quiet bool) *bar {
	file, ok := out.(*os.File)
	if quiet || !ok || !term.IsTerminal(int(file.Fd())) {
		return &bar{}
	}
	return &bar{progressbar.NewOptions(1000,
		progressbar.OptionSetWriter(out),
		progressbar.OptionSetWidth(30),
		progressbar.OptionSetPredictTime(true),
		progressbar.OptionClearOnFinish(),
	)}
}

// set shows how much is done, from 0 to 1, and what is going on. Any goroutine.
func (b *bar) set(done float64, what string) {
	if b.progress != nil {
		b.progress.Describe(what)
		b.progress.Set(int(1000 * min(done, 1)))
	}
}

func (b *bar) clear() {
	if b.progress != nil {
		b.progress.Clear()
	}
}
