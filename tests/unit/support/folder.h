/* Folders for the files of one test: in TMPDIR, else in /tmp. */
#ifndef ROOKERY_TESTS_UNIT_SUPPORT_FOLDER_H
#define ROOKERY_TESTS_UNIT_SUPPORT_FOLDER_H

#define TEST_FOLDER_SIZE 64 /* short enough for the socket inside it */

/* Makes an empty one and writes its path to folder; the caller removes it. */
void test_folder_make(char folder[TEST_FOLDER_SIZE]);

#endif
