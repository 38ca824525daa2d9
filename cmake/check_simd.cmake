# Fails if an object compiled for the set ISA defines a function that objects of other sets may define too.
foreach(object ${OBJECTS})
  execute_process(COMMAND ${NM} --demangle --defined-only --extern-only ${object} OUTPUT_VARIABLE symbols
    COMMAND_ERROR_IS_FATAL ANY)
  string(REPLACE "\n" ";" symbols "${symbols}")
  foreach(symbol ${symbols})
    if(symbol MATCHES " [TWVu] (.*)$" AND NOT symbol MATCHES "::${ISA}::"
       AND NOT symbol MATCHES "DW\\.ref\\.|__clang_call_terminate")  # of GCC and Clang, the same for all sets
      list(APPEND shared "${symbol}")
    endif()
  endforeach()
  if(shared)
    list(JOIN shared "\n  " shared)
    message(FATAL_ERROR "${object}: not in namespace ${ISA}:\n  ${shared}\n"
      "Define these in namespace AVSA_ISA or an unnamed one, or in a shared header as AVSA_HD (csrc/core/vec3.h).")
  endif()
endforeach()
