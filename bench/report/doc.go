// Package report shows what a comparison found: Table for a terminal, HTML for
// a reader with a browser and no network, and WriteJSON and ReadJSON to keep it.
//
//	report, err := ReadJSON(file)
//	err = Table(os.Stdout, report)
//	err = HTML(page, report)
//
// All three take the report as it is and compute from its rounds what they say;
// what a number means is defined in package bench.
package report
