package cli

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"os"
	"sync"
	"time"

	"github.com/credsmith/credsmith/internal/logscan"
)

//go:embed logs_report.html
var logsReportHTML string

var logsReportTemplate = sync.OnceValues(func() (*template.Template, error) {
	return template.New("report").Funcs(template.FuncMap{
		"chart": chartOf,
		"time":  func(at time.Time) string { return at.Format(time.DateTime + "Z") },
	}).Parse(logsReportHTML)
})

// writeLogsReport writes one page that needs nothing else: no script, and no
// request to anywhere.
func writeLogsReport(w io.Writer, r logscan.Result) error {
	page, err := logsReportTemplate()
	if err != nil {
		return err
	}
	return page.Execute(w, r)
}

// saveLogsReport writes the report to a file that others cannot read.
func saveLogsReport(file string, r logscan.Result) error {
	if file == "" {
		return nil
	}
	var page bytes.Buffer
	if err := writeLogsReport(&page, r); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	if err := os.WriteFile(file, page.Bytes(), 0o600); err != nil {
		return usage("name a file in a directory that exists and can be written to", "write the report %s: %w", file, reasonOf(err))
	}
	return nil
}

// The measures of a chart, in the units of its SVG.
const (
	chartWidth  = 800
	chartHeight = 80
)

type chart struct {
	Width, Height int
	Bars          []chartBar
	Marks         []chartMark
}

type chartBar struct {
	X, Y, Width, Height float64
	Failures            uint32
}

type chartMark struct {
	X     float64
	Label string
}

// chartOf draws the failures of an incident over time, and the changes before
// it. Its axis runs from the first change shown to the last failure.
func chartOf(in logscan.Incident) chart {
	c := chart{Width: chartWidth, Height: chartHeight}
	if in.First == nil || len(in.Rate) == 0 {
		return c
	}
	from := *in.First
	for _, change := range in.Changes {
		if change.At.Before(from) {
			from = change.At
		}
	}
	whole := max(in.Last.Sub(from).Seconds(), 1)
	x := func(at time.Time) float64 { return at.Sub(from).Seconds() / whole * chartWidth }
	most := uint32(1)
	for _, n := range in.Rate {
		most = max(most, n)
	}
	const thinnest = 2
	start := min(x(*in.First), chartWidth-thinnest)
	width := (chartWidth - start) / float64(len(in.Rate))
	for i, n := range in.Rate {
		if n > 0 {
			height := float64(n) / float64(most) * chartHeight
			c.Bars = append(c.Bars, chartBar{start + float64(i)*width, chartHeight - height, max(width-1, thinnest), height, n})
		}
	}
	for _, change := range in.Changes {
		c.Marks = append(c.Marks, chartMark{x(change.At), change.At.Format(time.DateTime+"Z") + " " + change.What})
	}
	return c
}
