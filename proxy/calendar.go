package proxy

import "time"

// calendar translates between the loop's clock and the time of day, by what that
// is at this moment. Loop.Wall goes by what it was when the loop was made: the
// clock may have been set since then, and another process would take the step for
// time that has passed.
type calendar struct {
	day  time.Time
	loop int64 // the same moment on the loop's clock
}

func (w *Worker) calendar() calendar { return calendar{time.Now(), w.loop.Now()} }

// date is the time of day of a moment on the loop's clock.
func (c calendar) date(moment int64) time.Time { return c.day.Add(time.Duration(moment - c.loop)) }

// moment is the reverse. What lies in the future is told as this moment.
func (c calendar) moment(date time.Time) int64 { return c.loop - max(int64(c.day.Sub(date)), 0) }
