# The LLVM C API of Debian's shared library; only codegen/ sees it.
target_include_directories(neo_codegen SYSTEM PRIVATE ${LLVM_INCLUDE})
target_link_libraries(neo_codegen PRIVATE ${LLVM_LIBRARY})
