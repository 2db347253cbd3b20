"Pages of the library in the book: descriptions of functions and classes, and an index of all names."
