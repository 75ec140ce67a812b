// The jobs pipeline as a Nextflow workflow: slice, then fit part by part in containers, then combine.
//
//   nextflow run scripts/pipeline/main.nf -profile docker --file penguins.csv --slice_by species \
//       --y flipper_length_mm --x bill_length_mm
//
//   --file       a CSV file with a header line
//   --slice_by   the columns to slice by, separated by commas
//   --y, --x     the response; and the predictors, separated by commas
//   --options    further options of `rookery-worker jobs slice`, as in --options='--wide --missing mean'
//   --out        the folder for table.csv, the result (default results)
//   --part_rows  slices share a task while together they have no more rows than this (default 1: never)
//
// nextflow.config has the profiles and the resources. The Makefile beside this file does the same without Nextflow.

params.file = null
params.slice_by = null
params.y = null
params.x = null
params.options = ''
params.out = 'results'
params.part_rows = 1

// A word for the shell, whatever is in it: column names may have blanks and quotes.
def word(value) {
    return "'" + value.toString().replace("'", "'\\''") + "'"
}

// What to fit. The parts carry it, so that the later steps need not be told.
def model() {
    return "--slice-by ${word(params.slice_by)} --y ${word(params.y)} --x ${word(params.x)} ${params.options}"
}

process SLICE {
    input:
    path table

    output:
    path 'parts/*.rkpart'

    script:
    """
    rookery-worker jobs slice ${table} ${model()} --part-rows ${params.part_rows} --output-dir parts --scratch-dir .
    """
}

process FIT {
    tag "${part.name}"

    input:
    path part

    output:
    path "${part.name}.csv"

    script:
    """
    rookery-worker jobs fit ${part} --threads ${task.cpus} --output ${part.name}.csv
    """
}

process COMBINE {
    publishDir params.out, mode: 'copy'

    input:
    path 'tables/*'

    output:
    path 'table.csv'

    script:
    """
    rookery-worker jobs combine tables/*.csv --output table.csv --scratch-dir .
    """
}

workflow {
    ['file', 'slice_by', 'y', 'x'].each { name ->
        if (params[name] == null) {
            error("--${name} is not given: see the top of main.nf")
        }
    }
    parts = SLICE(file(params.file, checkIfExists: true)).flatten()
    // In one order always, so that -resume knows the last step again.
    tables = FIT(parts).toSortedList { a, b -> a.name <=> b.name }
    COMBINE(tables)
}
