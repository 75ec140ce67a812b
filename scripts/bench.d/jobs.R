# A regression per slice as one writes it in R: Rscript jobs.R lm|bare|check FILE. "bare" leaves out all but the
# least squares; "check" prints the sum of all coefficients.
words <- commandArgs(trailingOnly = TRUE)
table <- read.csv(words[2], colClasses = c("integer", rep("numeric", 6)))
predictors <- paste0("x", 1:5)
if (words[1] == "bare") {
    x <- cbind(1, as.matrix(table[predictors]))
    rows <- split(seq_len(nrow(table)), table$slice)
    fits <- lapply(rows, function(i) .lm.fit(x[i, , drop = FALSE], table$y[i])$coefficients)
} else {
    fits <- lapply(split(table, table$slice), function(slice) {
        fit <- lm(y ~ x1 + x2 + x3 + x4 + x5, data = slice)
        c(coef(fit), summary(fit)$r.squared)
    })
}
if (words[1] == "check") cat(sprintf("%.9g", sum(sapply(fits, function(fit) sum(fit[1:6])))))
